"""The frame discriminator does not see the still."""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "frame_without_still")
    c.discriminators.frame.still = False
    return c
