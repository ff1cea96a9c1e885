"""The lip reader that configs/grid_s1.py learns from (loss.lip_reading): another than the one that measures it.

python -m s2f_jax.main --config=configs/lip_expert_s1.py
The shards are those of configs/grid_s1.py; it reads the training sentences only.
"""

from typing import Any

from configs import lipreader_s1


def get_config(preset: str = "cvprw2019") -> Any:
    c = lipreader_s1.get_config(preset)
    c.name = "lip_expert_s1"
    c.seed = 1
    c.mirror = True  # Generators learn from mirrored sentences, too.
    c.optim.decay_after = 25
    c.optim.decay = 0.85
    c.max_epochs = 50
    return c
