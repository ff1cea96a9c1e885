"""The sequence discriminator alone, over L1."""

from configs import ablations

get_config = ablations.changing("sequence_only", {"discriminators.frame.weight": 0.0})
