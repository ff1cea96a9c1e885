"""The demo: heads drawn by code at 64x48, small networks; trains in ten minutes on two CPU cores.

    make demo

All of `make demo` (corpus, training, evaluation, videos) takes about thirteen minutes.

It departs from the paper to get there: L1 alone for four of six epochs, and only then the adversarial
terms, at lower rates and with less weight; windows of one second; a copy path from the still to the
frame; L1 on the whole face, since the few adversarial steps do not keep the upper half clean; the
best checkpoint by the mouth's PSNR. Scores to expect are in the README.
"""

from typing import Any

from configs import base


def get_config(preset: str = "cvprw2019") -> Any:
    c = base.get_config(preset)
    c.name = "demo"
    c.data.corpus = "demo"
    c.data.dir = "runs/data"
    c.data.height = 64
    c.data.width = 48

    c.model.context_features = 128
    c.model.width = 16
    c.model.audio_width = 8
    c.model.copy_path = True
    c.discriminators.frame.width = 16
    c.discriminators.sequence.width = 8
    c.discriminators.sequence.audio_width = 4
    c.discriminators.sequence.features = 64
    c.discriminators.sync.width = 8
    c.discriminators.sync.audio_width = 4
    c.discriminators.sync.features = 64

    c.batch_size = 8
    c.clip_frames = 25
    c.loss.adversarial_from = 1280  # Four epochs.
    c.loss.reconstruction_top = 0.0
    c.discriminators.frame.weight = 0.2
    c.discriminators.sequence.weight = 0.5
    c.optim.generator_rate = 1e-3
    c.discriminators.frame.rate = 1e-4
    c.optim.decay_after = 4
    c.optim.decay = 0.3
    c.readers.lips = "runs/lipreader_demo"
    c.readers.sync = "runs/syncnet_demo"
    c.max_epochs = 6
    c.best_by = "psnr_mouth"
    c.log_every = 20
    return c
