"""LipNet on GRID, at its own sizes: the reader whose word error rate tables print.

python -m s2f_jax.main prepare --config=configs/lipreader_grid.py [--manual_dir=GRID]
python -m s2f_jax.main --config=configs/lipreader_grid.py
python -m s2f_jax.main evaluate --config=configs/lipreader_grid.py
The shards are those of configs/grid.py. Published for unseen speakers: 13.6 % WER without a language
model, 11.4 % with one. Hardware, hours and score of this config: not yet measured on the whole corpus.
"""

from typing import Any

from configs import base


def get_config(preset: str = "cvprw2019") -> Any:
    c = base.get_config(preset)
    c.task = "lipread"
    c.name = "lipreader_grid"
    c.batch_size = 50
    c.optim.b1 = 0.9
    c.best_by = "words_right"
    c.patience = 20
    return c
