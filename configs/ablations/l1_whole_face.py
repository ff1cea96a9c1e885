"""L1 on all rows, not on the lower half alone (eq. 2)."""

from configs import ablations

get_config = ablations.changing("l1_whole_face", {"loss.reconstruction_top": 0.0})
