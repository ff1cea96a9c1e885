"""SyncNet's protocol, with codes made by hand and a network that sees brightness and hears level."""

import dataclasses
import functools

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.loading import training_examples
from data_pipelines.media.sound import resample, to_mono_float
from s2f_jax.metrics import sync
from s2f_jax.metrics.scoring import ClipPair
from s2f_jax.metrics.sync import SyncScorer
from s2f_jax.models.sync_network import frame_windows, lower_half

RATE, FPS, STRIDE = 16000, 25, 640


class Levels(nn.Module):
    """The brightness of the lower half's five frames, and the level of their sound in fifths."""

    audio_rate: int = RATE

    def encode_frames(self, frames):
        windows = frame_windows(lower_half(frames))
        return 50 * windows.reshape(*windows.shape[:-1], 5, 3).mean(axis=(2, 3, 5)) + 50

    def encode_sound(self, sound):
        fifths = sound.reshape(*sound.shape[:-1], 5, -1)
        return 100 * jnp.sqrt(jnp.mean(fifths**2, axis=-1))


@functools.cache
def synchrony():
    return SyncScorer(Levels(), {}, size=(16, 12), fps=FPS, unit=1.0, name="by hand")


def pair(frames=60, seed=0, **fields):
    """A clip whose brightness is the level of its sound, from frame to frame another one."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(0, 0.9, frames)
    video = np.zeros((frames, 16, 12, 3), np.uint8)
    video += np.round(255 * level).astype(np.uint8)[:, None, None, None]
    sign = rng.choice([-1, 1], frames * STRIDE)
    audio = np.round(32767 * np.repeat(level, STRIDE) * sign).astype(np.int16)
    made = ClipPair("clip", "s1", "", video, video, FPS, audio, RATE, aligned=True)
    return dataclasses.replace(made, **fields)


def early(audio, frames):
    """The sound so many frames early, silence moved in."""
    count = len(audio) // STRIDE
    return training_examples.cut_audio(audio, frames, count, STRIDE, STRIDE)


def score(made):
    (scores,) = synchrony()([made])
    return scores


@pytest.mark.parametrize("k", [-15, *range(-5, 6), 15])
def test_a_clip_shifted_by_k_has_an_offset_of_k(k):
    """A sound that is k frames early, as that of a picture which comes k frames late."""
    scores = score(pair(audio=early(pair().audio, k)))
    assert scores.values["sync_offset"] == k
    assert scores.values["sync_distance"] == pytest.approx(0, abs=0.6)  # Of 8 bits.
    assert scores.values["sync_confidence"] > 10
    curve = scores.curves["sync_distance"]
    assert curve.shape == (31,)
    assert curve[15 + k] == scores.values["sync_distance"] == curve.min()


def test_a_picture_that_comes_three_frames_late_has_an_offset_of_three():
    made = pair()
    late = np.concatenate([made.video[:1].repeat(3, axis=0), made.video[:-3]])
    assert score(dataclasses.replace(made, video=late)).values["sync_offset"] == 3


def test_a_sound_that_comes_three_frames_late_has_an_offset_of_minus_three():
    made = pair()
    late = np.concatenate([np.zeros(3 * STRIDE, np.int16), made.audio[: -3 * STRIDE]])
    assert score(dataclasses.replace(made, audio=late)).values["sync_offset"] == -3


@pytest.mark.parametrize(("seed", "lag"), [*enumerate(range(-15, 16, 3))])
def test_the_protocol_is_syncnets(seed, lag):
    """Every moment's distance to every lag written out, and offset = 15 - argmin over the lags."""
    rng = np.random.default_rng(seed)
    heard = rng.normal(size=(40, 8))
    seen = np.roll(heard, -lag, axis=0) + 0.1 * rng.normal(size=(40, 8))  # seen[i] is heard[i+lag]
    means = []
    for of_sound in range(-15, 16):
        pairs = [(seen[i], heard[i + of_sound]) for i in range(15, 25)]
        means.append(np.mean([np.sqrt(np.sum((a - b) ** 2)) for a, b in pairs]))
    curve = sync.lag_distances(seen, heard).mean(axis=0)
    np.testing.assert_allclose(curve, means[::-1])
    assert sync.offset(curve) == 15 - np.argmin(means) == -lag
    assert sync.confidence(curve) == pytest.approx(np.median(means) - np.min(means))


def test_sound_that_never_changes_gives_no_confidence():
    rng = np.random.default_rng(0)
    curve = sync.lag_distances(rng.normal(size=(50, 8)), np.ones((50, 8))).mean(axis=0)
    assert sync.confidence(curve) == pytest.approx(0, abs=1e-12)
    hum = np.full_like(pair().audio, 9000)
    values = score(pair(audio=hum)).values
    assert values["sync_confidence"] == pytest.approx(0, abs=1e-3)
    assert values["sync_offset"] == "a confidence of 1 or less"


def test_another_clips_sound_lowers_the_confidence():
    own = score(pair()).values["sync_confidence"]
    other = score(pair(audio=pair(seed=1).audio)).values["sync_confidence"]
    assert other < 0.5 * own


def test_a_sound_of_another_rate_is_resampled():
    slow = resample(to_mono_float(pair().audio), RATE, 8000)
    half = score(pair(audio=np.round(32767 * slow).astype(np.int16), audio_rate=8000))
    assert half.values["sync_offset"] == 0


def test_the_length_it_is_computed_at_is_no_matter():
    made = pair(frames=60)
    seen = synchrony().encode_video(made.video)
    assert seen.shape == (56, 5)
    np.testing.assert_allclose(synchrony().encode_video(made.video[:50]), seen[:46], rtol=1e-5)
    heard = synchrony().encode_audio(made.audio, 60)
    np.testing.assert_allclose(seen, heard, atol=0.3)
    # Of the shorter clip, the last moments hear the same sound: 0.2 s are five frames.
    np.testing.assert_allclose(synchrony().encode_audio(made.audio[: 50 * STRIDE], 50), heard[:46])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"audio": np.zeros(0, np.int16)}, "no sound"),
        ({"audio": np.zeros(60 * STRIDE, np.int16)}, "the sound is silence"),
        ({"aligned": False}, "the faces are not aligned"),
        ({"fps": 30.0}, "another frame rate than the sync network's"),
        ({"video": np.zeros((60, 32, 24, 3), np.uint8)}, "another size than the sync network's"),
        ({"video": np.zeros((34, 16, 12, 3), np.uint8)}, "fewer than 35 frames"),
    ],
)
def test_what_cannot_be_scored_has_a_reason_and_the_others_are_scored(fields, reason):
    scored = synchrony()([pair(**fields), pair()])
    assert set(scored[0].values) == set(SyncScorer.metrics)
    assert all(value.startswith(reason) for value in scored[0].values.values())
    assert not scored[0].curves
    assert scored[1].values["sync_offset"] == 0


def test_the_shortest_clip_is_scored():
    made = pair(frames=sync.MIN_FRAMES)
    assert score(made).values["sync_offset"] == 0
    with pytest.raises(ValueError, match="30 windows"):
        sync.lag_distances(np.zeros((30, 2)), np.zeros((30, 2)))


def test_conventions_say_sign_and_network():
    conventions = synchrony().conventions
    assert "the sound is early" in conventions["sync"] and "above 1" in conventions["sync"]
    assert conventions["sync_network"] == "by hand; 1 is 1.00 of its own distance"


def test_distances_are_in_the_given_unit():
    half = SyncScorer(Levels(), {}, size=(16, 12), fps=FPS, unit=2.0, name="by hand")
    (scores,), whole = half([pair()]), score(pair())
    for name in ("sync_distance", "sync_confidence"):
        assert scores.values[name] == pytest.approx(whole.values[name] / 2)
    np.testing.assert_allclose(scores.curves["sync_distance"], whole.curves["sync_distance"] / 2)
