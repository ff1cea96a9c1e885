"""CREMA-D at 128x96 with the sizes of the checkpoints that the authors released (sda, 16 kHz).

git clone https://github.com/CheyneyComputerScience/CREMA-D (with git-LFS)
python -m s2f_jax.main prepare --config=configs/crema_d.py --manual_dir=CREMA-D
python -m s2f_jax.main --config=configs/crema_d.py
Hardware, hours and score to expect: not yet measured. The paper does not use this corpus.
"""

from typing import Any

from configs import base


def get_config(preset: str = "sda") -> Any:
    c = base.get_config(preset)
    c.name = "crema_d"
    c.data.corpus = "crema_d"
    c.data.audio_rate = 16000
    return c
