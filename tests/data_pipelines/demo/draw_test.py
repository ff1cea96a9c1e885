"""Laws of the drawing: landmarks lie on what is drawn, at every size."""

import dataclasses

import numpy as np
import pytest

from data_pipelines.demo import draw, face, motion

CANONICAL = {33: (49.40, 71.82), 36: (24.11, 43.39), 39: (37.93, 44.15), 42: (58.86, 43.23)}
CANONICAL[45] = (72.49, 42.03)


def still(frames=1, **changes):
    values = {field.name: np.zeros(frames) for field in dataclasses.fields(motion.Motion)}
    values |= {"gaze": np.zeros((frames, 2)), "shift": np.zeros((frames, 2))}
    return motion.Motion(
        **(values | {k: np.broadcast_to(v, values[k].shape) for k, v in changes.items()})
    )


def speaker(seed=0, **changes):
    return dataclasses.replace(face.random_face(np.random.default_rng(seed)), **changes)


def picture(person, height=64, **pose):
    frames, marks = draw.FacePainter(person, height, height * 3 // 4)(still(**pose))
    return frames[0].astype(float), marks[0]


@pytest.mark.parametrize("seed", range(8))
def test_the_stable_points_are_the_papers(seed):
    _, marks = picture(speaker(seed), 128)
    for index, place in CANONICAL.items():
        assert np.abs(marks[index] - place).max() < 1.7, index


def test_a_size_is_a_scale():
    (small, a), (large, b) = (
        picture(speaker(), 64, opening=0.7),
        picture(speaker(), 128, opening=0.7),
    )
    np.testing.assert_allclose(2 * a, b, atol=1e-4)
    halved = large.reshape(64, 2, 48, 2, 3).mean((1, 3))
    assert np.abs(halved - small).mean() < 4


def test_the_inner_lips_bound_the_dark_of_the_open_mouth():
    image, marks = picture(speaker(glasses=0.0), 128, opening=1.0)
    top, bottom, column = marks[62, 1], marks[66, 1], round(float(marks[66, 0]))
    assert 11 < bottom - top < 15
    closed, _ = picture(speaker(glasses=0.0), 128)
    inside = image[round(0.4 * top + 0.6 * bottom), column]
    assert inside.sum() < 0.6 * closed[80:100, column].sum(-1).min()
    assert image[round(top) + 2, column].min() > 150  # Teeth.
    lip = image[round(bottom) + 2, column]
    assert lip[0] > lip[1] + 20  # Red.


def test_the_mouth_opens_in_its_box_and_leaves_the_eyes_alone():
    closed, _ = picture(speaker(), 128)
    opened, marks = picture(speaker(), 128, opening=1.1, spread=1.0)
    mouth = marks[48:]
    assert (mouth > (28, 72)).all() and (mouth < (71, 111)).all()
    change = np.abs(opened - closed).max(-1)
    assert change[:72].max() == 0 and change[72:112, 28:72].mean() > 10


def test_closed_eyes_hide_the_iris():
    person = speaker(glasses=0.0, skin=(240, 205, 180), eye=(60, 120, 160))
    opened, marks = picture(person, 128)
    closed, shut = picture(person, 128, blink=1.0)
    assert np.abs(shut[37] - shut[41]).max() < 0.1 < 3 < marks[41, 1] - marks[37, 1]
    box = np.s_[38:47, 26:37]
    blue = [(image[box][..., 2] - image[box][..., 0]).max() for image in (opened, closed)]
    assert blue[0] > 20 > 0 > blue[1]


def test_the_head_moves_with_its_landmarks_and_the_wall_stays():
    person = speaker(1)
    rest, a = picture(person, 128)
    moved, b = picture(person, 128, shift=(1.0, 2.0))
    np.testing.assert_allclose(b - a, np.broadcast_to((1, 2), a.shape), atol=1e-4)
    inside = np.s_[40:85, 25:75]
    shifted = np.roll(rest, (2, 1), (0, 1))
    assert np.abs(moved[inside] - shifted[inside]).mean() < 1.5
    turned = picture(person, 128, angle=1.0)[1]
    assert turned[8, 0] < a[8, 0] and turned[19, 0] > a[19, 0]  # Clockwise about the mouth.


def test_the_jaw_follows_the_mouth():
    chin = [picture(speaker(), 128, opening=opening)[1][8, 1] for opening in (0, 0.5, 1)]
    assert np.diff(chin) == pytest.approx([2.8, 2.8], abs=0.5)


def test_speakers_differ():
    people = [picture(speaker(seed))[0] for seed in range(12)]
    distances = [np.abs(a - b).mean() for i, a in enumerate(people) for b in people[:i]]
    assert min(distances) > 8
