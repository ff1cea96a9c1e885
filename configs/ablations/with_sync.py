"""A third discriminator, sync, as in the paper's successor.

Its weight is the sequence discriminator's, its rate the frame one's in the paper (both ours).
"""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "with_sync")
    c.discriminators.sync.weight = c.discriminators.sequence.weight
    c.discriminators.sync.rate = 1e-3
    return c
