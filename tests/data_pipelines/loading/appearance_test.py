"""Augmented looks: one change a clip, of the face where it is, and none unless asked for."""

import dataclasses
import functools

import cv2
import numpy as np
import pytest

from data_pipelines.loading import appearance, dataset, loader, training_examples
from data_pipelines.media import images
from tests.data_pipelines.loading import face_warp_test

H, W, T = 64, 48, 6
ALL = {"color": 1.0, "light": 1.0, "background": 1.0, "warp": 1.0}
POINTS = np.repeat((face_warp_test.face()[None] + 0.5) / 2 - 0.5, T, axis=0).astype(np.float32)


def video(seed=0):
    """Smooth coloured noise of which each frame differs a little."""
    rng = np.random.default_rng(seed)
    base = cv2.resize(rng.uniform(30, 220, (8, 6, 3)), (W, H), interpolation=cv2.INTER_CUBIC)
    moves = [cv2.resize(rng.uniform(-20, 20, (6, 4, 3)), (W, H)) for _ in range(T)]
    return np.clip(np.stack([base + move for move in moves]), 0, 255).astype(np.uint8)


def change(seed=0, frames=None, **fields):
    still = video()[0] if frames is None else frames[0]
    return appearance.Appearance(**fields).draw(still, POINTS, np.random.default_rng(seed))


def changed(frames, drawn):
    frames = frames.copy()
    drawn(frames)
    return frames


def clip_of(frames, points=POINTS):
    return dataset.DatasetClip(
        id="c", speaker="s", transcript="", fps=25,
        jpegs=[images.encode_jpeg(frame) for frame in frames], landmarks=points,
        blink=np.zeros(len(frames), np.float32), audio=np.zeros(len(frames) * 40, np.int16),
        audio_rate=1000, words=[], phones=[],
    )  # fmt: skip


def example(looks, seed=0, mirror=False, frames=T, clip=None):
    return training_examples.training_example(
        clip or clip_of(video()), np.random.default_rng(seed), mirror, None,
        frames=frames, window=60, appearance=looks,
    )  # fmt: skip


def test_it_is_off_by_default_and_then_draws_nothing():
    rng = np.random.default_rng(0)
    assert not appearance.Appearance() and not appearance.Appearance().features
    appearance.NO_CHANGE.draw(video()[0], POINTS, rng)
    assert rng.random() == np.random.default_rng(0).random()


def test_no_strength_changes_no_bit():
    plain = example(appearance.NO_CHANGE)
    np.testing.assert_array_equal(plain["frames"], clip_of(video()).frames)
    np.testing.assert_array_equal(changed(video(), change()), video())


@pytest.mark.parametrize("name", ["color", "light", "background", "warp"])
def test_each_part_changes_the_picture_and_vanishes_with_its_strength(name):
    full, slight = (
        np.abs(changed(video(), change(1, **{name: strength})).astype(int) - video()).mean()
        for strength in (1.0, 0.001)
    )
    assert full > 2 and slight < 0.5


@pytest.mark.parametrize("seed", range(5))
def test_equal_frames_stay_equal_and_others_change_by_the_same_map(seed):
    drawn, frames = change(seed, **ALL), video()
    together = changed(frames, drawn)
    for t in range(T):
        np.testing.assert_array_equal(changed(frames[t : t + 1], drawn)[0], together[t])
    np.testing.assert_array_equal(*changed(frames[[0, 0]], drawn))


def test_without_tables_the_difference_of_frames_is_changed_by_the_same_map():
    """A warp and a background are linear: what is between two frames moves as the frames do."""
    drawn, frames = change(2, warp=1.0, background=1.0), video() // 2
    first, second = changed(frames[:2], drawn).astype(int)
    assert drawn.maps is not None and drawn.keep is not None
    between = cv2.remap(
        frames[1].astype(np.float32) - frames[0], *drawn.maps, cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    np.testing.assert_allclose(second - first, between * drawn.keep / 255, atol=2.5)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("frames", [3, T])  # From the middle of the clip, or all of it.
def test_the_still_changes_as_the_frames_do(frames, mirror):
    looks = appearance.Appearance(**ALL)
    made = example(looks, 3, mirror, frames, clip_of(video()[[0] * T]))
    np.testing.assert_array_equal(made["frames"], np.stack([made["still"]] * frames))
    assert np.abs(made["still"].astype(int) - video()[0]).mean() > 5


def test_what_pads_a_short_clip_stays_black():
    made = example(appearance.Appearance(**ALL), 1, frames=T + 3)
    assert not made["frames"][T:].any() and made["frames"][:T].any(axis=(1, 2, 3)).all()


def test_sound_and_window_are_those_without_it():
    plain, made = (
        example(appearance.NO_CHANGE, 4, frames=2),
        example(appearance.Appearance(**ALL), 4, frames=2),
    )
    for name in ("audio", "mask"):
        np.testing.assert_array_equal(plain[name], made[name])


def test_a_seed_gives_one_change_and_another_seed_another():
    looks = appearance.Appearance(**ALL)
    first, again, other = (example(looks, seed)["frames"] for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 5


def test_a_mirrored_example_takes_mirrored_landmarks():
    """A change that depends on the face alone commutes with mirroring."""
    looks = appearance.Appearance(background=1.0)
    shifted = POINTS + np.array([6, 0], np.float32)
    plain = looks.draw(video()[0], shifted, np.random.default_rng(0))
    mirrored = appearance.mirrored(shifted, W)
    other = looks.draw(video()[0][:, ::-1].copy(), mirrored, np.random.default_rng(0))
    assert plain.keep is not None and other.keep is not None
    differ = np.abs(other.keep[:, ::-1].astype(int) - plain.keep)
    assert differ.mean() < 2  # Outlines are drawn to a fraction of a pixel.
    assert np.abs(other.keep.astype(int) - plain.keep).mean() > 20


@pytest.mark.parametrize("seed", range(6))
def test_another_background_covers_no_face(seed):
    drawn = change(seed, background=1.0)
    hull = cv2.convexHull(np.round(POINTS[0]).astype(np.int32))
    face = cv2.fillConvexPoly(np.zeros((H, W), np.uint8), hull, 1).astype(bool)
    before, after = video(), changed(video(), drawn)
    np.testing.assert_array_equal(after[:, face], before[:, face])
    assert np.abs(after.astype(int) - before)[:, -4:, :4].mean() > 10  # A corner beside the chin.


def test_the_edge_of_the_background_is_soft_and_the_face_may_move():
    points = POINTS.copy()
    points[1:] += np.array([5, 0], np.float32)
    looks = appearance.Appearance(background=1.0)
    drawn = looks.draw(video()[0], points, np.random.default_rng(0))
    assert drawn.keep is not None
    keep = drawn.keep[..., 0].astype(int)
    assert np.abs(np.diff(keep, axis=1)).max() < 160 and (keep.min(), keep.max()) == (0, 255)
    inside = np.round(points[:, :17].reshape(-1, 2)).astype(int)
    inside = inside[(inside >= 0).all(axis=1) & (inside < (W, H)).all(axis=1)]
    assert (drawn.keep[inside[:, 1], inside[:, 0]] == 255).all()  # In all frames.


def test_backgrounds_come_as_often_as_asked():
    replaced = [change(seed, background=0.25).keep is not None for seed in range(400)]
    assert 0.18 < np.mean(replaced) < 0.32


def test_the_mouth_is_drawn_where_the_landmarks_are_warped_to():
    """A bright spot at each mouth point's mean, found again after the warp."""
    x, y = np.meshgrid(np.arange(W), np.arange(H))
    mouth = POINTS[0, 48:].mean(axis=0)
    spot = 255 * np.exp(-((x - mouth[0]) ** 2 + (y - mouth[1]) ** 2) / 8)
    frames = np.repeat(spot[None, ..., None], 3, axis=3).astype(np.uint8)
    for seed in range(8):
        made = changed(frames, change(seed, warp=1.0))[0, ..., 0].astype(float)
        found = np.array([(made * x).sum(), (made * y).sum()]) / made.sum()
        warp = appearance.face_warp.draw_warp(
            POINTS.mean(axis=0), (W, H), 1.0, np.random.default_rng(seed)
        )
        np.testing.assert_allclose(found, warp.warped(mouth), atol=0.35)


def test_colours_leave_grey_grey_but_for_the_white_balance():
    drawn = change(0, color=1.0)
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)[None]
    assert drawn.matrix is not None
    same = changed(grey, dataclasses.replace(drawn, table=None))
    np.testing.assert_allclose(same.astype(int), grey, atol=1)


@pytest.mark.parametrize("seed", range(8))
def test_brighter_stays_brighter(seed):
    """A table that falls or wraps would turn shadows into lights."""
    drawn = change(seed, color=1.0, light=1.0)
    assert drawn.table is not None and drawn.light is not None
    assert (np.diff(drawn.table.astype(int), axis=0) >= 0).all()
    assert 0.5 < drawn.light.min() / 128 <= drawn.light.max() / 128 < 1.7


def test_processes_and_a_resumed_run_make_the_same_looks():
    clips = [clip_of(video(seed)) for seed in range(4)]
    make = functools.partial(
        training_examples.training_example, frames=3, window=60,
        appearance=appearance.Appearance(**ALL),
    )  # fmt: skip

    def batches(**changes):
        return loader.training_batches(clips, make, batch_size=4, mirror=True, seed=1, **changes)

    whole = batches()
    first, state, second = next(whole), whole.get_state(), next(whole)
    resumed = batches()
    resumed.set_state(state)
    np.testing.assert_array_equal(next(resumed)["frames"], second["frames"])
    halves = [next(batches(process=p, processes=2)) for p in (0, 1)]
    indices = np.concatenate([half["example_index"] for half in halves])
    frames = np.concatenate([half["frames"] for half in halves])
    for index, frame in zip(indices, frames, strict=True):
        row = first["example_index"].tolist().index(index)
        np.testing.assert_array_equal(frame, first["frames"][row])
