import types

import cv2
import numpy as np
import pytest

from data_pipelines.faces import measures
from s2f_jax.metrics import motion, mouth_probe
from s2f_jax.metrics.scoring import ClipPair

_EYES = 30.0  # Pixels between them.


def _landmarks(openings):
    """Faces [T, 68, 2] whose inner lips are that many pixels apart."""
    points = np.zeros((len(openings), 68, 2), np.float32)
    points[:, 36:42] = (33, 43)
    points[:, 42:48] = (33 + _EYES, 43)
    for upper, lower, x in ((61, 67, 44), (62, 66, 48), (63, 65, 52)):
        points[:, upper] = (x, 90)
        points[:, lower, 0], points[:, lower, 1] = x, 90 + np.asarray(openings)
    return points


def _drawn_clip(speaker, seed, frames=20):
    """A speaker's skin and lips, and a dark mouth whose height is the truth; drawn at 128x96."""
    look, rng = np.random.default_rng(100 + speaker), np.random.default_rng(seed)
    skin, lips = look.uniform(120, 230, 3), look.uniform(90, 140, 3)
    openings = 6 + 6 * np.sin(np.arange(frames) / 3 + rng.uniform(0, 6))
    images = np.empty((frames, 128, 96, 3), np.uint8)
    for image, opening in zip(images, openings, strict=True):
        image[:] = skin
        centre = (round(48 * 16), round((90 + opening / 2) * 16))
        for half_width, half_height, colour in ((16, opening / 2 + 4, lips), (12, opening / 2, 30)):
            colour = np.broadcast_to(colour, 3).tolist()
            axes = (round(half_width * 16), round(half_height * 16))
            cv2.ellipse(image, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA, 4)
    images = np.clip(images + rng.normal(0, 3, images.shape), 0, 255).astype(np.uint8)
    landmarks = _landmarks(openings)
    return types.SimpleNamespace(speaker=f"s{speaker}", frames=images, landmarks=landmarks)


@pytest.fixture(scope="module")
def probe():
    return mouth_probe.fit_mouth_probe([_drawn_clip(i // 2, i) for i in range(24)])


def test_the_probe_recovers_a_drawn_opening_of_speakers_it_never_saw(probe):
    clip = _drawn_clip(50, 50)
    m = measures.mouth_opening(clip.landmarks)
    assert motion.mouth_correlation(probe(clip.frames), m) > 0.97
    assert 0.8 < motion.mouth_energy(probe(clip.frames), m) < 1.25


def test_the_probe_reports_what_it_reads_on_held_out_speakers(probe):
    assert probe.correlation > 0.97
    assert probe.worst <= probe.correlation
    assert (probe.clips, probe.speakers) == (24, 12)
    assert probe.held_out == "training speakers held out"


def test_the_probe_uses_at_most_the_clips_it_may():
    clips = [_drawn_clip(i, i, frames=6) for i in range(7)]
    assert mouth_probe.fit_mouth_probe(clips, max_clips=4).clips == 4


def test_the_probe_of_one_speaker_holds_out_clips():
    found = mouth_probe.fit_mouth_probe([_drawn_clip(0, seed) for seed in range(5)])
    assert "clips held out" in found.held_out
    assert found.correlation > 0.97


def test_the_probe_needs_mouths_that_move():
    clip = _drawn_clip(0, 0)
    still = types.SimpleNamespace(**{**vars(clip), "landmarks": _landmarks(np.ones(20))})
    with pytest.raises(ValueError, match="0 of 3 clips"):
        mouth_probe.fit_mouth_probe([still] * 3)


def test_a_frozen_still_has_no_energy_and_no_correlation(probe):
    clip = _drawn_clip(50, 50)
    real = probe(clip.frames)
    frozen = probe(np.repeat(clip.frames[:1], len(clip.frames), axis=0))
    level = np.where(np.arange(20) < 10, -60.0, -10.0)
    assert motion.mouth_energy(frozen, real) == 0
    assert motion.silence_motion(frozen, real, level) == 0
    assert motion.mouth_correlation(frozen, real) == "the generated mouth does not move"
    assert motion.mouth_loudness(frozen, level) == "the generated mouth does not move"


def test_truth_against_truth_is_one():
    real = np.array([0.1, 0.4, 0.2, 0.3, 0.2])
    level = np.array([-50.0, -50, -50, -10, -10])
    assert motion.mouth_correlation(real, real) == pytest.approx(1)
    assert motion.mouth_energy(real, real) == pytest.approx(1)
    assert motion.silence_motion(real, real, level) == pytest.approx(1)


def test_scores_by_hand():
    real = np.array([0.0, 0.1, 0.0, 0.1, 0.3])
    generated = 0.5 - 2 * real
    level = np.array([-45.0, -45, -45, -10, -10])  # Silent: frames 0, 1 and 2.
    assert motion.mouth_correlation(generated, real) == pytest.approx(-1)
    assert motion.mouth_energy(generated, real) == pytest.approx(2)
    noisy = np.array([0.0, 0.2, 0.1, 0.9, 0.0])
    assert motion.silence_motion(noisy, real, level) == pytest.approx(0.15 / 0.1)
    assert motion.mouth_loudness(level / 100, level) == pytest.approx(1)


def test_what_cannot_be_scored_says_why():
    still, moving = np.full(4, 0.2), np.array([0.1, 0.3, 0.2, 0.2])
    level = np.array([-10.0, -10, -60, -60])
    assert motion.mouth_correlation(moving, still) == "the real mouth does not move"
    assert motion.mouth_energy(moving, still) == "the real mouth does not move"
    assert motion.mouth_loudness(moving, still) == "the sound has one level throughout"
    assert motion.silence_motion(moving, moving, still) == "no two silent frames in a row"
    assert motion.silence_motion(moving, moving, level) == (
        "the real mouth does not move in silence"
    )
    assert motion.jitter(_landmarks([1, 2]), _landmarks([1, 2])) == "fewer than four frames"


def test_jitter_by_hand():
    """x, x^2 and x^3 have third differences 0, 0 and 6."""
    t = np.arange(6.0)
    real, generated = np.zeros((6, 68, 2)), np.zeros((6, 68, 2))
    real[:, :, 0] = (t**3)[:, None]
    generated[:, :, 1] = (3 * t**3 + t**2 + t)[:, None]
    assert motion.jitter(generated, real) == pytest.approx(3)
    assert motion.jitter(generated, 0 * real) == "the real face does not move"


def test_lmd_by_hand():
    real = np.zeros((2, 68, 2))
    real[:, 48:, 0] = np.arange(20)
    generated = real + np.array([[[5, -3]], [[-40, 2]]])
    assert motion.lmd(generated, real) == pytest.approx(0)  # Each frame has its own mean.
    generated[0, 48:58, 1] += 1  # Half of them up, by which the mean moves half as far.
    generated[:, :48] = 1e3  # Not of the mouth.
    assert motion.lmd(generated, real) == pytest.approx((0.5 + 0) / 2)


def _pair(clip, video=None, **fields):
    """A drawn clip, silent in its first half, as an scorer is given it."""
    audio = np.where(np.arange(160) < 80, 3, 3000) * np.tile([1, -1], 80)
    given = dict(
        name="clip", speaker=clip.speaker, transcript="", real=clip.frames, fps=25.0,
        video=clip.frames if video is None else video, audio=audio.astype(np.int16),
        audio_rate=200, aligned=True, landmarks=clip.landmarks,
    )  # fmt: skip
    return ClipPair(**(given | fields))


@pytest.fixture(scope="module")
def scorer():
    return mouth_probe.MouthProbeScorer([_drawn_clip(i // 2, i) for i in range(24)], max_clips=20)


def test_the_probe_s_instrument_scores_truth_and_still(scorer):
    clip = _drawn_clip(50, 50)
    still = np.repeat(clip.frames[:1], 20, axis=0)
    truth, frozen = scorer([_pair(clip), _pair(clip, still)])
    for metric in ("mouth_correlation", "mouth_energy", "silence_motion"):
        assert truth.values[metric] == pytest.approx(1)
    assert truth.curves["mouth_opening_real"].shape == (20,)
    np.testing.assert_array_equal(*truth.curves.values())
    assert frozen.values["mouth_energy"] == frozen.values["silence_motion"] == 0
    assert truth.values.keys() == frozen.values.keys() == set(motion.MOUTH_METRICS)
    method = scorer.conventions["mouth_opening"]
    assert "20 training clips" in method and "training speakers held out" in method


def test_the_probe_s_instrument_refuses_what_it_cannot_read(scorer):
    clip = _drawn_clip(50, 50)
    other = _landmarks(6 + 6 * np.sin(2.1 * np.arange(20)))
    refused = {
        mouth_probe.MISREAD: _pair(clip, landmarks=other),
        mouth_probe.NOT_ALIGNED: _pair(clip, aligned=False),
    }
    for reason, pair in refused.items():
        assert scorer([pair])[0].values == dict.fromkeys(motion.MOUTH_METRICS, reason)
    without = mouth_probe.MouthProbeScorer([])
    assert without([_pair(clip)])[0].values == dict.fromkeys(
        motion.MOUTH_METRICS, mouth_probe.NO_PROBE
    )
    assert without.conventions["mouth_opening"].startswith("not measured: 0 of 0 clips")


def test_a_video_without_sound_still_has_a_mouth(scorer):
    clip = _drawn_clip(50, 50)
    values = scorer([_pair(clip, audio=np.zeros(0, np.int16), landmarks=None)])[0].values
    assert values["mouth_loudness"] == values["silence_motion"] == motion.NO_AUDIO
    assert values["mouth_correlation"] == pytest.approx(1)
