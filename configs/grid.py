"""GRID at 128x96 with the paper's recipe.

python -m s2f_jax.main prepare --config=configs/grid.py [--manual_dir=GRID]
python -m s2f_jax.main --config=configs/grid.py
Hardware, hours and score to expect: not yet measured on the whole corpus.
"""

from typing import Any

from configs import base


def get_config(preset: str = "cvprw2019") -> Any:
    c = base.get_config(preset)
    c.name = "grid"
    # A list of clips and their splits, data_pipelines/grid/lists; empty: all clips, split by speaker.
    c.data.options.clip_list = ""
    c.readers.lips = "runs/lipreader_grid"
    c.readers.sync = "runs/syncnet_grid"
    return c
