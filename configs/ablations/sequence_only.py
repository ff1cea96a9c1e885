"""The sequence discriminator alone, over L1."""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "sequence_only")
    c.discriminators.frame.weight = 0.0
    return c
