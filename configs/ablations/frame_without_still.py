"""The frame discriminator does not see the still."""

from configs import ablations

get_config = ablations.changing("frame_without_still", {"discriminators.frame.still": False})
