"""The sequence discriminator runs one GRU over the codes of both at every time step."""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "sequence_per_step")
    c.discriminators.sequence.fusion = "step"
    return c
