"""L1 alone: no discriminator."""

from configs import ablations

get_config = ablations.changing(
    "l1_only", {"discriminators.frame.weight": 0.0, "discriminators.sequence.weight": 0.0}
)
