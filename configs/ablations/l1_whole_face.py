"""L1 on all rows, not on the lower half alone (eq. 2)."""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "l1_whole_face")
    c.loss.reconstruction_top = 0.0
    return c
