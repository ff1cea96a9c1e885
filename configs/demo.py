"""The demo: heads drawn by code, 64x48, small networks, on two CPU cores."""

from ml_collections import ConfigDict

from configs import base


def get_config(preset: str = "cvprw2019") -> ConfigDict:
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
    c.model.frame_width = 16
    c.model.sequence_width = 8
    c.model.sequence_audio_width = 4
    c.model.sequence_features = 64
    c.batch_size = 8
    c.clip_frames = 25
    c.loss.adversarial_from = 960
    c.optim.generator_rate = 1e-3
    c.optim.frame_rate = 2e-4
    c.max_epochs = 4
    c.log_every = 20
    return c
