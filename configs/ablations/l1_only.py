"""L1 alone: no discriminator, and no lip reader where the config has one."""

from configs import ablations

get_config = ablations.changing(
    "l1_only",
    {
        "discriminators.frame.weight": 0.0,
        "discriminators.sequence.weight": 0.0,
        "loss.deep_lip_reading": 0.0,
        "loss.lip_reading": 0.0,
    },
)
