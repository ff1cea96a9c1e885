"""The frame discriminator alone, over L1."""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "frame_only")
    c.discriminators.sequence.weight = 0.0
    return c
