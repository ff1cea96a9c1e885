"""A third discriminator, sync, as in the paper's successor.

Its weight is the sequence discriminator's, its rate the frame one's in the paper (both ours).
"""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "with_sync")
    c.loss.sync = c.loss.sequence
    c.optim.sync_rate = 1e-3
    return c
