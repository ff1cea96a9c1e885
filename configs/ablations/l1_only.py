"""L1 alone: no discriminator."""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "l1_only")
    c.loss.frame = c.loss.sequence = 0.0
    return c
