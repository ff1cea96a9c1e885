"""A small LipNet on GRID's speaker 1: the reader whose word error rate the tables of grid_s1 print.

python -m s2f_jax.main --config=configs/lipreader_s1.py
python -m s2f_jax.main evaluate --config=configs/lipreader_s1.py
The shards are those of configs/grid_s1.py (`make real` makes them); it reads the training sentences only.
"""

from typing import Any

from configs import grid_s1, lipreader_demo


def get_config(preset: str = "cvprw2019") -> Any:
    c = lipreader_demo.reading(grid_s1.get_config(preset))
    c.name = "lipreader_s1"
    c.lipreader.dropout = 0.3
    c.optim.decay_after = 16
    c.max_epochs = 26
    return c
