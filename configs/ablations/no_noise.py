"""No noise: what the face does is told by still and sound alone."""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "no_noise")
    c.model.noise_features = 0
    return c
