"""The sync network for the demo's faces: 7.4 core-minutes on two CPU cores (user + system time).

python -m s2f_jax.main --config=configs/syncnet_demo.py
python -m s2f_jax.main evaluate --config=configs/syncnet_demo.py
The shards are those of configs/demo.py (`make demo` draws them). To expect: the offset of all real
clips of unseen speakers found exactly, a confidence of 1.97 against 0.67 with another clip's sound.
"""

from typing import Any

from configs import demo, syncnet_grid


def small(c: Any) -> Any:
    """A corpus's config at 64x48, to train a small sync network on it."""
    c = syncnet_grid.learning(c)
    c.sync_network.features = 128
    c.sync_network.width = 16
    c.batch_size = 16
    c.clip_frames = 45
    return c


def get_config(preset: str = "cvprw2019") -> Any:
    c = small(demo.get_config(preset))
    c.name = "syncnet_demo"
    c.max_epochs = 4
    return c
