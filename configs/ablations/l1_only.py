"""L1 alone: no discriminator."""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "l1_only")
    c.discriminators.frame.weight = c.discriminators.sequence.weight = 0.0
    return c
