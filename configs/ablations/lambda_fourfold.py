"""Four times eq. 3's lambda."""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "lambda_fourfold")
    c.loss.reconstruction *= 4
    return c
