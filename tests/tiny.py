"""The demo shrunk to seconds, for tests and for the processes that tests start."""

from configs import demo


def get_config():
    """Two steps an epoch on four devices."""
    c = demo.get_config()
    c.data.height, c.data.width, c.data.audio_rate = 16, 12, 1000
    c.data.options.update(
        train_speakers=2, train_clips=2, val_speakers=2, val_clips=1, test_speakers=2, test_clips=1
    )
    c.data.prepare_workers = 1
    c.model.update(width=4, audio_width=2, context_features=8)
    c.discriminators.frame.width = 4
    c.discriminators.sequence.update(width=4, audio_width=2, features=8)
    c.model.window = 0.06
    c.batch_size, c.eval_batch_size, c.clip_frames = 4, 4, 5
    c.loss.adversarial_from = 1
    c.max_epochs, c.log_every, c.sample_clips = 3, 1, 1
    return c
