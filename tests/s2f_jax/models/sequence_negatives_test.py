"""Real clips made wrong: what stays, what changes, and that an example's draws are its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from s2f_jax.models import networks, sequence_negatives
from s2f_jax.models.clip_batch import ClipBatch
from s2f_jax.models.sequence_discriminator import SequenceDiscriminator
from tests.s2f_jax.step_test import tiny_config

KEY = jax.random.key(0)
TIMES = 6


def clips(count=2, padded=0):
    """Frame t of clip b is 10 b + t everywhere; its sound is b."""
    values = 10 * np.arange(count)[:, None] + np.arange(TIMES)
    frames = np.broadcast_to(values[:, :, None, None, None], (count, TIMES, 4, 3, 3))
    audio = np.broadcast_to(np.arange(count)[:, None], (count, 40))
    mask = np.ones((count, TIMES), bool)
    mask[:, TIMES - padded :] = False
    still, index = frames[:, 0], np.arange(count, dtype=np.uint32)
    return ClipBatch(
        *(
            jnp.asarray(x, x.dtype)
            for x in (frames.astype("f4"), still.astype("f4"), audio.astype("f4"), mask, index)
        )
    )


def made(kind, batch):
    return sequence_negatives.negative(kind, batch, sequence_negatives.sample(KEY, batch, 4))


def test_a_held_clip_is_one_of_its_own_frames_throughout():
    batch = clips(padded=2)
    frames, audio = made("held", batch)
    assert (frames == frames[:, :1]).all() and (audio == batch.audio).all()
    number = np.asarray(frames[:, 0, 0, 0, 0]) - np.array([0, 10])
    assert ((number >= 0) & (number < 4)).all()  # No padding is held.


def test_with_the_upper_half_held_the_lower_one_goes_on():
    batch = clips()
    frames, _ = made("upper_held", batch)
    assert (frames[:, :, 2:] == batch.frames[:, :, 2:]).all()
    assert (frames[:, :, :2] == frames[:, :1, :2]).all()


def test_shuffled_frames_are_the_same_in_another_order():
    batch = clips(padded=2)
    frames, _ = made("shuffled", batch)
    numbers, before = (np.asarray(x[:, :, 0, 0, 0]) for x in (frames, batch.frames))
    assert (numbers[:, :4] != before[:, :4]).any()
    np.testing.assert_array_equal(np.sort(numbers[:, :4]), before[:, :4])
    np.testing.assert_array_equal(numbers[:, 4:], before[:, 4:])


def test_another_sound_is_another_clips_or_of_another_time():
    frames, audio = made("other_sound", clips(3))
    np.testing.assert_array_equal(audio[:, 0], [2, 0, 1])
    np.testing.assert_array_equal(frames, clips(3).frames)
    alone = clips(1)._replace(audio=jnp.arange(40.0)[None])
    np.testing.assert_array_equal(made("other_sound", alone)[1][0], np.roll(np.arange(40), 20))


def test_each_clip_is_wrong_in_the_way_drawn_for_it():
    batch = clips(64)
    kinds = ("held", "other_sound")
    drawn = sequence_negatives.sample(KEY, batch, len(kinds))
    frames, audio = sequence_negatives.drawn_negatives(kinds, batch, drawn)
    other_sound = np.asarray(audio[:, 0] != batch.audio[:, 0])
    held = np.asarray((frames == frames[:, :1]).all(axis=(1, 2, 3, 4)))
    np.testing.assert_array_equal(held, ~other_sound)
    np.testing.assert_array_equal(held, drawn.kind == 0)
    assert 16 < held.sum() < 48


def test_the_draws_of_an_example_do_not_depend_on_its_row():
    batch = clips(8)
    drawn = sequence_negatives.sample(KEY, batch, 4)
    order = np.array([3, 0, 7, 1, 2, 6, 5, 4])
    moved = sequence_negatives.sample(KEY, jax.tree.map(lambda x: x[order], batch), 4)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[order], b), drawn, moved)


def test_without_negatives_there_are_no_mismatched_inputs_but_all_probes():
    sizes = {"audio_rate": 1000, "stride": 40, "window": 160}
    module, batch = SequenceDiscriminator(**sizes), clips()
    drawn = module.sample(KEY, batch)
    assert module.mismatched_inputs(batch, drawn) is None
    assert tuple(module.probes(batch, drawn)) == sequence_negatives.NEGATIVES


def test_a_deaf_discriminator_gets_no_clip_with_another_sound_as_a_fake():
    sizes = {"audio_rate": 1000, "stride": 40, "window": 160, "audio": False}
    module, batch = SequenceDiscriminator(**sizes, negatives=("held", "other_sound")), clips(32)
    drawn = module.sample(KEY, batch)
    frames, audio, _ = module.mismatched_inputs(batch, drawn)
    assert (frames == frames[:, :1]).all() and (audio == batch.audio).all()
    assert "other_sound" not in module.probes(batch, drawn)
    deaf = SequenceDiscriminator(**sizes, negatives=("other_sound",))
    assert deaf.mismatched_inputs(batch, deaf.sample(KEY, batch)) is None


def test_unknown_negatives_are_refused():
    config = tiny_config(sequence={"negatives": ("held", "upside_down")})
    with pytest.raises(UserError, match="negatives=upside_down: must be of held, upper_held"):
        networks.build(config.data, config.model, config.discriminators, config.loss)
