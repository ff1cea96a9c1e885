"""No term for how strong the frequencies of frames are, where the config has one."""

from configs import ablations

get_config = ablations.changing("no_spectrum", {"loss.spectrum": 0.0})
