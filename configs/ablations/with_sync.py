"""A third discriminator, sync, as in the paper's successor; its weight is the sequence one's (ours)."""

from typing import Any

from configs import ablations


def get_config(corpus: str = "grid") -> Any:
    c = ablations.variant(corpus, "with_sync")
    c.loss.sync = c.loss.sequence
    return c
