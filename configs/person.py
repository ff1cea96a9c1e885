"""One person from a video of ten minutes, filmed with a phone: 64x48, small networks.

    make person TAKE=me.mp4

or, where the package is installed,

    s2f prepare --config=person --manual_dir=me.mp4
    s2f --config=person [--start_from=RUN]
    s2f evaluate --config=person

docs/tutorials/person.md says how to film. The take is cut in its pauses; a tenth of it, in parts of
about 30 s, is val, and a tenth test: sentences that the model has not heard, of the face that it has
seen. Networks, losses and steps are those of configs/grid_s1.py; what differs is counted in epochs,
which are shorter here. `data.train_minutes` takes less of the take, with the same val and test and as many
steps, to see how much speech it needs.
"""

from typing import Any

from configs import folder, grid_s1


def get_config(preset: str = "cvprw2019") -> Any:
    c = grid_s1.get_config(preset)
    c.name = "person"
    c.data.corpus = "folder"
    c.data.options = folder.get_config().data.options
    c.data.options.max_clip_seconds = 5.0  # One look away spoils one clip.
    c.data.options.within_video = True
    c.data.options.val_share = 0.1
    c.data.options.test_share = 0.1
    c.data.max_bad_share = 0.3  # Where the person looks away, or is silent.
    c.readers.lips = ""
    c.readers.sync = ""
    c.loss.deep_lip_reading = 0.0
    c.loss.lip_reading = 0.0

    # An epoch of ten minutes has some 40 steps, of grid_s1 82; of a shorter take as many as of ten minutes.
    c.epoch_steps = 40
    c.optim.decay_after = 24
    c.optim.decay = 0.96
    c.max_epochs = 82
    c.patience = 82
    return c
