"""The static method that the paper compares itself with (3.3).

Each frame from its own window of sound, with L1 and the frame discriminator: no GRU over the sound, no
sequence discriminator. Nor noise, which runs through a GRU: it would move the frames at random.
"""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "static_baseline")
    c.model.recurrent = False
    c.model.noise_features = 0
    c.discriminators.sequence.weight = 0.0
    return c
