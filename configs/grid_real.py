"""Portraits of people it has never seen: twelve real speakers of GRID at 64x48, four held out.

    s2f prepare --config=grid_real [--manual_dir=GRID]
    s2f --config=grid_real
    s2f evaluate --config=grid_real

Preset "full": 128x96 and clips of 3 s, for a GPU.
"""

from typing import Any

from configs import demo


def get_config(preset: str = "") -> Any:
    c = demo.get_config()
    c.name = "grid_real"
    c.data.corpus = "grid"
    c.data.options.clip_list = "real"
    c.data.dir = "runs/data_real"  # Not the shards of another list.
    c.balance_speakers = 0.75
    c.augment.gain_db = 6.0
    c.augment.snr_db = (20.0, 50.0)
    c.augment.color = 1.0
    c.augment.light = 1.0
    c.augment.background = 0.5
    c.augment.warp = 1.0
    c.readers.lips = ""
    c.readers.sync = ""
    return c
