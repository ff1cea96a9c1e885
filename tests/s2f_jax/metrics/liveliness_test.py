"""Sharpness, motion of the eyes and spread over seeds, worked out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.faces.boxes import eye_box, mouth_box
from s2f_jax.metrics import liveliness

MASK = jnp.ones((1, 4), bool)


def video(fill=100):
    return np.full((1, 4, 64, 48, 3), fill, np.uint8)


def test_sharpness_is_1_of_the_real_and_half_of_half_the_contrast():
    real = video()
    real[:, :, ::2] += 40
    half = video()
    half[:, :, ::2] += 20
    assert float(liveliness.sharpness(real, real, MASK)[0]) == 1
    np.testing.assert_allclose(liveliness.sharpness(half, real, MASK), [0.5], rtol=1e-6)


def test_the_motion_of_the_eyes_is_theirs_alone():
    rows, columns = eye_box(64, 48)
    real, lively, elsewhere = video(), video(), video()
    real[:, ::2, rows, columns] += 20
    lively[:, ::2, rows, columns] += 10
    elsewhere[:, ::2, 40:] += 10
    np.testing.assert_allclose(liveliness.eye_motion(lively, real, MASK), [0.5], rtol=1e-6)
    assert float(liveliness.eye_motion(elsewhere, real, MASK)[0]) == 0


def test_padding_moves_no_eye():
    real, padded = video(), video()
    rows, columns = eye_box(64, 48)
    real[:, ::2, rows, columns] += 20
    padded[:, 2:] = 0
    mask = jnp.asarray([[True, True, False, False]])
    assert float(liveliness.eye_motion(padded, real, mask)[0]) == 0


def test_spread_over_two_seeds_is_their_difference_over_the_root_of_two_where_it_is():
    one, other = video(), video()
    rows, columns = mouth_box(64, 48)
    other[:, :, rows, columns] += 6
    eyes, mouth = liveliness.spread_over_seeds(jnp.stack([one, other]), MASK)
    assert (float(eyes[0]), float(mouth[0])) == (0, pytest.approx(6 / 2**0.5))


@pytest.mark.parametrize(
    "sharpness, eyes, expected", [(1, 1, 30), (0.5, 1, 27), (10 ** (-1 / 20), 0, 26)]
)
def test_balance_costs_what_is_missing_at_most_3_db_each(sharpness, eyes, expected):
    scores = {"psnr_mouth": 30.0, "sharpness": sharpness, "eye_motion": eyes}
    assert liveliness.balance(scores) == pytest.approx(expected)
