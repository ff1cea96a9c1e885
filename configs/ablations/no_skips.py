"""No skips: the decoder knows the still by its code alone."""

from configs import ablations

get_config = ablations.changing("no_skips", {"model.skips": False})
