"""The sync network that evaluation judges GRID's videos with: learns which sound goes with which lips.

python -m s2f_jax.main --config=configs/syncnet_grid.py
python -m s2f_jax.main evaluate --config=configs/syncnet_grid.py
Hardware, hours and score to expect: not yet measured on the whole corpus.
"""

from typing import Any

from configs import grid


def learning(c: Any) -> Any:
    """A corpus's config, to train a sync network on it."""
    c.task = "sync"
    c.best_by = "windows_right"
    c.optim.b1 = 0.9
    c.optim.decay_after = 1
    c.optim.decay = 0.5
    return c


def get_config(preset: str = "cvprw2019") -> Any:
    c = learning(grid.get_config(preset))
    c.name = "syncnet_grid"
    c.max_epochs = 10
    return c
