"""A small LipNet on the demo corpus: 14 minutes on two CPU cores.

python -m s2f_jax.main --config=configs/lipreader_demo.py
python -m s2f_jax.main evaluate --config=configs/lipreader_demo.py
The shards are those of configs/demo.py (`make demo` draws them). Score to expect on unseen speakers:
12 % WER, of which letters that look alike on the lips (b and p, d and t) make 10.
"""

from typing import Any

from configs import demo


def shrink(c: Any) -> None:
    """Sets the sizes of the section `lipreader` for faces of 64x48."""
    c.lipreader.height = 24
    c.lipreader.width = 32
    c.lipreader.mouth = 13.6  # A pixel of the crop is one of the 64x48 frame.
    c.lipreader.widths = (16, 32, 64)
    c.lipreader.features = 96


def reading(c: Any) -> Any:
    """A corpus's config at 64x48, to train a small lip reader on it."""
    shrink(c)
    c.task = "lipread"
    c.lipreader.dropout = 0.0
    c.lipreader.shift = 1.0
    c.lipreader.rate = 2e-3

    c.batch_size = 8
    c.clip_frames = 75
    c.optim.b1 = 0.9
    c.optim.decay_after = 4
    c.optim.decay = 0.75
    c.best_by = "words_right"
    return c


def get_config(preset: str = "cvprw2019") -> Any:
    c = reading(demo.get_config(preset))
    c.name = "lipreader_demo"
    c.max_epochs = 13
    return c
