"""GRID's speaker 1: one real person at 64x48, trained in half an hour on two CPU cores.

    make real

or, step by step, with GRID being a copy of the corpus (without --manual_dir, `prepare` downloads what
it needs of it, 0.4 GB):

    s2f prepare --config=grid_s1 [--manual_dir=GRID]
    s2f --config=grid_s1
    s2f evaluate --config=grid_s1

330 sentences to train on, 20 to validate and 40 to test, by a list in the repository, so that figures
compare. `--config=grid_s1:full` is the same at 128x96 with the paper's widths, for a GPU.
"""

from typing import Any

from configs import base, demo

PRESETS = ("small", "full")


def get_config(preset: str = "small") -> Any:
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r} is not one of {', '.join(PRESETS)}")
    c = demo.get_config() if preset == "small" else base.get_config()
    c.name = "grid_s1" if preset == "small" else "grid_s1_full"
    c.data.corpus = "grid"
    c.data.dir = "runs/data"
    c.data.options.clip_list = "s1"
    return c
