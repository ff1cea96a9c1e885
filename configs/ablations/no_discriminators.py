"""No discriminator; what the generator has beside L1 stays, which l1_only leaves out, too."""

from configs import ablations

get_config = ablations.changing(
    "no_discriminators",
    {"discriminators.frame.weight": 0.0, "discriminators.sequence.weight": 0.0},
)
