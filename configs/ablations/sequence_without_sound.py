"""The sequence discriminator sees the frames and does not hear the sound."""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "sequence_without_sound")
    c.discriminators.sequence.audio = False
    return c
