"""No skips: the decoder knows the still by its code alone."""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "no_skips")
    c.model.skips = False
    return c
