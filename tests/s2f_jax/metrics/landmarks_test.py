import os

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.demo import draw
from data_pipelines.demo import motion as drawn_motion
from data_pipelines.demo.face import random_face
from data_pipelines.faces import landmarks as landmarks_module
from s2f_jax.metrics import landmarks, motion
from s2f_jax.metrics.faces_in_videos import NO_MODEL, TOO_FEW, FaceTrack, FaceTracker
from s2f_jax.metrics.scoring import ClipPair

T = 50
METRICS = ("lmd", "jitter", "blinks_per_s", "blink_s", *motion.MOUTH_METRICS)


class Known:
    """Finds in a video the landmarks that were put down for it."""

    problem = ""

    def __init__(self):
        self.of = {}

    def video(self, found):
        """A video of which this is found: landmarks, or a reason."""
        made = np.zeros((T, 2, 2, 3), np.uint8)
        self.of[id(made)] = made, found
        return made

    def __call__(self, videos, cacheable):
        return [self.of[id(video)][1] for video in videos]


def face(seed=0, blinks_at=(), missing=0, size=30.0):
    """A FaceTrack of a face that talks, blinks in these frames, and never keeps quite still."""
    rng = np.random.default_rng(seed)
    points = np.zeros((T, 68, 2))
    points += np.random.default_rng(9).uniform(-0.6, 0.6, (68, 2))
    ratio = np.full(T, 0.3)
    for at in blinks_at:
        ratio[at : at + 5] = (0.2, 0.05, 0.0, 0.1, 0.2)
    for eye, x in ((slice(36, 42), -0.5), (slice(42, 48), 0.5)):
        points[:, eye, 0] = x + 0.12 * np.array([-1, -0.5, 0.5, 1, 0.5, -0.5])
        points[:, eye, 1] = 0.12 * ratio[:, None] * np.array([0, -1, -1, 0, 1, 1])
    points[:, 61:64, 1], points[:, 65:68, 1] = 0.8, 0.85 + 0.1 * rng.random((T, 1))
    points += 0.001 * rng.normal(size=points.shape)
    return FaceTrack((size * points + 40).astype(np.float32), missing)


def pair(known, generated, real, **fields):
    video, truth = known.video(generated), known.video(real)
    level = np.where(np.arange(T) < 10, 3, 3000)
    given = dict(
        name="clip", speaker="s", transcript="", video=video, real=truth, fps=25.0,
        audio=(np.repeat(level, 8) * np.tile([1, -1], 4 * T)).astype(np.int16), audio_rate=200,
        aligned=True,
    )  # fmt: skip
    return ClipPair(**(given | fields))


def score(generated, real, mouth=True, **fields):
    known = Known()
    (scored,) = landmarks.LandmarkScorer(known, mouth)([pair(known, generated, real, **fields)])
    assert scored.values.keys() == set(METRICS if mouth else METRICS[:4])
    return scored


def test_truth_against_truth():
    real = face(blinks_at=(10, 30))
    scored = score(real, real)
    exact = {"lmd": 0, "jitter": 1, "mouth_correlation": 1, "mouth_energy": 1, "silence_motion": 1}
    for metric, value in exact.items():
        assert scored.values[metric] == pytest.approx(value), metric
    np.testing.assert_array_equal(
        scored.curves["mouth_opening"], scored.curves["mouth_opening_real"]
    )


def test_a_frozen_still_has_no_motion_and_no_blinks():
    real = face(blinks_at=(10, 30))
    still = FaceTrack(np.repeat(real.landmarks[:1], T, axis=0), 0)
    values = score(still, real).values
    assert values["jitter"] == values["mouth_energy"] == values["silence_motion"] == 0
    assert values["blinks_per_s"] == 0 and values["blink_s"] == landmarks.NO_BLINK
    assert values["mouth_correlation"] == "the generated mouth does not move"


def test_moving_the_whole_face_costs_neither_distance_nor_mouth():
    real = face()
    path = np.random.default_rng(1).normal(size=(T, 1, 2)).astype(np.float32)
    values = score(FaceTrack(real.landmarks + path, 0), real).values
    assert values["lmd"] == pytest.approx(0, abs=1e-5)
    assert values["mouth_energy"] == pytest.approx(1, abs=1e-3)
    assert values["jitter"] > 1  # But it shakes.


def test_blinks_are_counted_by_second_and_measured_by_blink():
    scored = score(face(blinks_at=(10, 30)), face())
    assert scored.values["blinks_per_s"] == pytest.approx(2 / (T / 25))
    assert scored.weights["blinks_per_s"] == T / 25
    assert scored.values["blink_s"] == pytest.approx(6 / 25, abs=0.04)
    assert scored.weights["blink_s"] == 2
    np.testing.assert_array_equal(scored.curves["blinks"][:, 1], [12, 32])
    for curve in ("eye_opening", "brow_height", "mouth_opening"):
        assert scored.curves[curve].shape == (T,)


def test_without_the_real_face_the_video_still_blinks():
    scored = score(face(blinks_at=(10,)), TOO_FEW)
    assert scored.values["blinks_per_s"] == pytest.approx(0.5)
    assert scored.values["lmd"] == scored.values["jitter"] == TOO_FEW
    assert all(scored.values[metric] == TOO_FEW for metric in motion.MOUTH_METRICS)


@pytest.mark.parametrize("reason", [NO_MODEL, TOO_FEW])
def test_without_the_video_s_face_there_is_the_reason(reason):
    scored = score(reason, face())
    assert set(scored.values.values()) == {reason} and not scored.weights and not scored.curves


def test_a_face_of_a_few_pixels_is_not_read():
    assert score(face(size=6), face()).values["lmd"] == landmarks.TOO_SMALL
    assert isinstance(score(face(size=9), face(size=9)).values["lmd"], float)


def test_sound_that_is_missing_or_silent_costs_what_needs_it():
    real = face()
    none = score(real, real, audio=np.zeros(0, np.int16)).values
    assert none["mouth_loudness"] == none["silence_motion"] == motion.NO_AUDIO
    assert none["mouth_correlation"] == pytest.approx(1)
    silent = score(real, real, audio=np.zeros(8 * T, np.int16)).values
    assert silent["mouth_loudness"] == "the sound has one level throughout"
    assert silent["silence_motion"] == "no two silent frames in a row"


def test_a_mouth_that_is_misread_is_not_scored():
    real = face(seed=1)
    values = score(face(seed=2), real, landmarks=face(seed=3).landmarks).values
    assert all(values[metric] == landmarks.MISREAD for metric in motion.MOUTH_METRICS)
    assert isinstance(values["lmd"], float)
    values = score(face(seed=2), real, landmarks=real.landmarks).values
    assert isinstance(values["mouth_correlation"], float)


def test_the_report_says_how_many_frames_were_filled_in():
    known = Known()
    scorer = landmarks.LandmarkScorer(known, mouth=False)
    scorer([pair(known, face(missing=3), face(missing=9))] * 2)
    assert f"6 of {2 * T} frames" in scorer.conventions["faces_unseen"]


def test_without_a_model_evaluation_goes_on(monkeypatch):
    def refuse():
        raise UserError("The model is not here; fetch it.")

    monkeypatch.setattr(landmarks_module, "model_path", refuse)
    scorer = landmarks.LandmarkScorer(FaceTracker(1), mouth=True)
    (scored,) = scorer([pair(Known(), face(), face())])
    assert scored.values == dict.fromkeys(METRICS, NO_MODEL)
    assert scorer.conventions["faces_unseen"] == "The model is not here; fetch it."


def test_landmarks_read_the_mouths_of_large_faces():
    assert landmarks.resolves_mouth(128, 96) and not landmarks.resolves_mouth(64, 48)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("S2F_FACE_LANDMARKER"), reason="needs the landmark model")
def test_the_model_finds_the_blinks_of_drawn_faces():
    """As in a generated video: from 64x48 pixels alone. Blinks that close the eye half or more."""
    pairs, blink = [], []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        who = random_face(rng)
        performance = drawn_motion.random_motion(rng, [], 75, 25, amplitude=1.0)
        frames, _ = draw.FacePainter(who, 64, 48, seed)(performance)
        still = np.repeat(frames[:1], 75, axis=0)
        silence = np.zeros(0, np.int16)
        pairs += [
            ClipPair("", "", "", video, frames, 25, silence, 0, True) for video in (frames, still)
        ]
        blink.append(performance.blink)
    scored = landmarks.LandmarkScorer(FaceTracker(), mouth=False)(pairs)
    true = hits = found = 0
    for closure, of_video in zip(blink, scored[::2], strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], closure > 0, [False]])))
        spans = [(a, b) for a, b in edges.reshape(-1, 2) if closure[a:b].max() >= 0.5]
        deepest = of_video.curves["blinks"][:, 1]
        true, found = true + len(spans), found + len(deepest)
        hits += sum(any(a <= t < b for t in deepest) for a, b in spans)
    assert true > 15 and hits >= 0.95 * true and hits >= 0.95 * found
    assert all(of_still.values["blinks_per_s"] == 0 for of_still in scored[1::2])
    assert all(of_still.values["jitter"] == 0 for of_still in scored[1::2])


def test_the_frames_without_a_face_are_counted_from_one_run_to_the_next():
    known = Known()
    scorer = landmarks.LandmarkScorer(known, mouth=False)
    scorer([pair(known, face(missing=3), face())])
    assert scorer.conventions["faces_unseen"].startswith(f"3 of {T} frames")
    scorer.reset()
    scorer([pair(known, face(missing=1), face())])
    assert scorer.conventions["faces_unseen"].startswith(f"1 of {T} frames")


def test_what_others_need_of_a_video_again_is_remembered():
    """An aligned video is new each time; real ones come once a row; unaligned ones are aligned."""
    asked = []

    class Noting(Known):
        def __call__(self, videos, cacheable):
            asked.append(cacheable)
            return super().__call__(videos, cacheable)

    known = Noting()
    scorer = landmarks.LandmarkScorer(known, mouth=False)
    scorer([pair(known, face(), face()), pair(known, face(), face(), aligned=False)])
    assert asked == [[True, True, False, True]]
