"""TCD-TIMIT at 128x96 with the paper's recipe; :sda for that of the released checkpoints (48 kHz).

python -m s2f_jax.main prepare --config=configs/tcd_timit.py --manual_dir=TCDTIMIT
python -m s2f_jax.main --config=configs/tcd_timit.py
Hardware and hours: not yet measured. Score to expect on test (paper, Table 1): PSNR 23.54 dB, SSIM
0.697, CPBD 0.253, ACD 2.06e-4; nobody has trained on the whole corpus here yet.
"""

from typing import Any

from configs import base


def get_config(preset: str = "cvprw2019") -> Any:
    c = base.get_config(preset)
    c.name = "tcd_timit"
    c.data.corpus = "tcd_timit"
    c.data.options.with_left_out = False  # 27M 35M 53M, left out by the recommended split, train.
    c.data.options.lipspeakers = False  # The three lipspeakers train.
    c.data.options.paper_validation = True  # False: the recommended split; 27M 35M 53M are val.
    if preset == "sda":
        c.data.audio_rate = 48000
    return c
