"""The sync network for GRID's speaker 1, which judges synchrony in the tables of grid_s1.

python -m s2f_jax.main --config=configs/syncnet_s1.py
python -m s2f_jax.main evaluate --config=configs/syncnet_s1.py
The shards are those of configs/grid_s1.py (`make real` makes them). Without mirrored sentences an epoch has 20 steps,
and with a rate halved after each from the first on it told nothing: as sure of a still, 0.86, as of real videos, 0.85.
Now it is 1.02 sure of them, 0.60 of a still and 0.64 of another clip's sound.
"""

from typing import Any

from configs import grid_s1, syncnet_demo


def get_config(preset: str = "cvprw2019") -> Any:
    c = syncnet_demo.small(grid_s1.get_config(preset))
    c.name = "syncnet_s1"
    c.mirror = True  # A small corpus: else it has seen too little when its rate has fallen.
    c.optim.decay_after = 4
    c.max_epochs = 12
    return c
