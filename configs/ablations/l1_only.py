"""L1 alone: no discriminator, and none of the generator's further terms where the config has some."""

from configs import ablations

get_config = ablations.changing(
    "l1_only",
    {
        "discriminators.frame.weight": 0.0,
        "discriminators.sequence.weight": 0.0,
        "loss.spectrum": 0.0,
        "loss.drawn_share": 0.0,
        "loss.variety": 0.0,
        "loss.deep_supervision": 0.0,
        "loss.deep_lip_reading": 0.0,
        "loss.lip_reading": 0.0,
    },
)
