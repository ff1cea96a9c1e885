"""The frame discriminator alone, over L1."""

from configs import ablations

get_config = ablations.changing("frame_only", {"discriminators.sequence.weight": 0.0})
