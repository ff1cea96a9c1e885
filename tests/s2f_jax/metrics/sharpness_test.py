"""CPBD and FDBM against slow references written from the definitions, and drawn edges by hand."""

import os
import pathlib

import av
import cv2
import jax
import numpy as np
import pytest

from s2f_jax.metrics import sharpness

_cpbd, _fdbm = jax.jit(sharpness.cpbd), jax.jit(sharpness.fdbm)


def _score(metric, images):
    """Images [N, H, W] or [N, H, W, 3], one clip each -> its score [N]."""
    images = np.asarray(images, np.uint8)
    if images.ndim == 3:
        images = np.repeat(images[..., None], 3, axis=-1)
    mask = np.ones((1, 1), bool)
    return np.array([metric(image[None, None], mask)[0] for image in images])


# The reference: one image at a time, pixel by pixel, from the definition.


def _reference_cpbd(rgb):
    weights = np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])
    grey = np.floor(rgb @ weights + 0.5)
    widths, canny = _widths(grey), _canny(grey)
    measured, sharp = 0, 0
    for top in range(0, grey.shape[0] - 63, 64):
        for left in range(0, grey.shape[1] - 63, 64):
            block = (slice(top, top + 64), slice(left, left + 64))
            if not canny[block].sum() > 0.002 * 64 * 64:
                continue
            just_noticeable = 5 if np.ptp(grey[block]) <= 50 else 3
            of_block = widths[block][widths[block] > 0]
            blur = 1 - np.exp(-((of_block / just_noticeable) ** 3.6))
            measured += len(of_block)
            sharp += np.sum(np.round(100 * blur) <= 63)  # The paper's cut, of a histogram in %.
    return sharp / measured if measured else 0.0


def _widths(grey):
    height, width = grey.shape
    padded = np.pad(grey, 1, mode="edge")
    gx, gy = np.zeros(grey.shape), np.zeros(grey.shape)
    for i, weight in enumerate((1, 2, 1)):
        gx += weight / 8 * (padded[i : i + height, 2:] - padded[i : i + height, :-2])
        gy += weight / 8 * (padded[2:, i : i + width] - padded[:-2, i : i + width])
    gx, gy, found = np.abs(gx), np.abs(gy), np.zeros(grey.shape, int)
    for r in range(1, height - 1):
        for c in range(1, width - 1):
            along_row = gx[r, c - 1] <= gx[r, c] > gx[r, c + 1] and gx[r, c] >= gy[r, c]
            along_column = gx[r - 1, c] <= gx[r, c] > gx[r + 1, c]
            if not (gx[r, c] > 2 and (along_row or along_column)):
                continue
            dx, dy = grey[r, c + 1] - grey[r, c - 1], grey[r + 1, c] - grey[r - 1, c]
            angle = round(np.degrees(np.arctan2(dy, dx)) / 45) * 45 if dx else 0
            if angle == 0:
                found[r, c] = _walk(grey[r], c, 1, 1) + _walk(grey[r], c, -1, -1)
            elif abs(angle) == 180:
                found[r, c] = _walk(grey[r], c, 1, -1) + _walk(grey[r], c, -1, 1)
    return found


def _walk(row, start, way, sign):
    """Pixels from `start` that way to the extremum; sign 1: a maximum, -1: a minimum."""
    c = start + way
    while 0 <= c + way < len(row) and sign * (row[c + way] - row[c]) > 0:
        c += way
    return abs(c - start)


def _canny(grey):
    height, width = grey.shape
    x = np.arange(-6, 7)
    gaussian = np.exp(-(x**2) / 4)
    gaussian /= gaussian.sum()
    derivative = np.gradient(gaussian)
    derivative[derivative > 0] /= derivative[derivative > 0].sum()
    derivative[derivative < 0] /= -derivative[derivative < 0].sum()

    def filtered(image, taps, axis):
        pads = [(6, 6) if axis == i else (0, 0) for i in (0, 1)]
        lines = np.pad(image, pads, mode="edge")
        return np.apply_along_axis(lambda line: np.convolve(line, taps, "valid"), axis, lines)

    dx = filtered(filtered(grey, gaussian, 0), derivative, 1)
    dy = filtered(filtered(grey, gaussian, 1), derivative, 0)
    m = np.hypot(dx, dy)
    m = m / m.max() if m.max() > 0 else m
    counts = np.bincount(np.floor(63 * m + 0.5).astype(int).ravel(), minlength=64)
    high = (np.flatnonzero(np.cumsum(counts) > 0.7 * m.size)[0] + 1) / 64
    weak = np.zeros(grey.shape, bool)
    for r in range(1, height - 1):
        for c in range(1, width - 1):
            if m[r, c] > 0.4 * high:
                a, b = (_interpolated(m, r, c, s * dy[r, c], s * dx[r, c]) for s in (1, -1))
                weak[r, c] = m[r, c] >= max(a, b) - 1e-9
    _, parts = cv2.connectedComponents(weak.astype(np.uint8), connectivity=8)
    return weak & np.isin(parts, parts[weak & (m > high)])


def _interpolated(m, r, c, dy, dx):
    """m one pixel further along the gradient, between the two of the eight neighbours there."""
    size = max(abs(dx), abs(dy))
    down, right = dy / size, dx / size
    straight = (r, c + round(right)) if abs(dx) >= abs(dy) else (r + round(down), c)
    diagonal = (r + int(np.sign(dy)), c + int(np.sign(dx)))
    share = min(abs(down), abs(right))
    return (1 - share) * m[straight] + share * m[diagonal]


def _smooth_noise(shape, sigma, contrast, seed):
    noise = np.random.default_rng(seed).normal(size=(*shape, 3))
    if sigma:
        noise = cv2.GaussianBlur(noise, (0, 0), sigma)
    return np.clip(127 + contrast * noise / noise.std(), 0, 255).astype(np.uint8)


def _face(shape, sigma=0.0):
    """What a face has: smooth skin, dark round eyes and mouth, hair, a little noise."""
    height, width = shape
    image = np.full((*shape, 3), (40, 45, 60), np.uint8)
    cx, cy = width // 2, height // 2
    cv2.ellipse(image, (cx, cy), (width // 3, int(height / 2.5)), 0, 0, 360, (205, 165, 140), -1)
    for side in (-1, 1):
        cv2.circle(image, (cx + side * width // 8, cy - height // 8), width // 24, (40, 25, 20), -1)
    cv2.ellipse(
        image, (cx, cy + height // 5), (width // 8, height // 24), 0, 0, 360, (130, 50, 60), -1
    )
    image = cv2.GaussianBlur(image, (0, 0), 0.7)
    image = image + np.random.default_rng(0).normal(0, 2, image.shape)
    image = cv2.GaussianBlur(image, (0, 0), sigma) if sigma else image
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _ramp(width, low, high, shape=(64, 64), at=24):
    """Dark on the left, bright on the right, and `width` equal steps between."""
    row = np.interp(np.arange(shape[1]), [at, at + width], [low, high])
    return np.broadcast_to(np.rint(row), shape)


IMAGES = {
    "noise": _smooth_noise((64, 64), 0, 40, 0),
    "smooth noise": _smooth_noise((128, 96), 1.5, 40, 1),
    "low contrast": _smooth_noise((72, 130), 2, 7, 2),
    "a face": _face((128, 96)),
    "a blurred face": _face((128, 96), 1.5),
    "coarse levels": _smooth_noise((70, 65), 1.5, 40, 3) // 16 * 16,
    "a step": np.repeat(_ramp(1, 40, 200)[..., None], 3, axis=-1),
    "nothing": np.full((64, 64, 3), 90),
}


@pytest.mark.parametrize("name", IMAGES)
def test_cpbd_is_that_of_the_definition(name):
    np.testing.assert_allclose(
        _score(_cpbd, IMAGES[name][None]), _reference_cpbd(IMAGES[name]), rtol=1e-5
    )


def test_the_cut_at_63_percent_is_a_rule_for_widths():
    for just_noticeable in (3, 5):
        for width in range(1, 102):
            blur = 1 - np.exp(-((width / just_noticeable) ** 3.6))
            assert (round(100 * blur) <= 63) == (width <= just_noticeable)


def _steps(heights, slope=0):
    """A step between columns 4 and 5, of a height of its own in each row, on a vertical slope."""
    heights, rows = np.array(heights), np.arange(len(heights))
    right = np.arange(10) >= 5
    return heights[:, None] * right + slope * rows[:, None]


def _found(image):
    """The edge pixels (row, column) in the inside of an image."""
    found = sharpness.vertical_edges(np.asarray(image, np.int32)[None])[0]
    return {(int(r) + 2, int(c) + 2) for r, c in np.argwhere(found)}


ROWS = (2, 3, 4, 5, 6)  # Of nine, those at least two from the border.


# The horizontal derivative of a step of h is 4 h (for heights above each other, a + 2 b + c) on both
# sides of it; the vertical one of a slope of s is 8 s. An edge's has to be above 16.
@pytest.mark.parametrize(
    ("image", "edges"),
    [
        # Of the two equal columns the last.
        (_steps([5] * 9), {(r, 5) for r in ROWS}),
        (_steps([-5] * 9), {(r, 5) for r in ROWS}),
        # 16 is not above 16.
        (_steps([4] * 9), set()),
        # A maximum along the row counts if the horizontal derivative, 80, is at least the vertical.
        (_steps([20] * 9, slope=10), {(r, 5) for r in ROWS}),
        (_steps([20] * 9, slope=-11), set()),
        # The derivatives down the rows are 80, 80, 100, 120, 100, 80, 80: the middle one is a maximum
        # along the column, on both sides of the step, whatever the slope.
        (_steps([20] * 4 + [40] + [20] * 4), {(r, 5) for r in ROWS} | {(4, 4)}),
        (_steps([20] * 4 + [40] + [20] * 4, slope=100), {(4, 4), (4, 5)}),
        # 80, 100, 140, 140, 100, 80: of equal ones the last.
        (_steps([20] * 3 + [40] * 2 + [20] * 4, slope=100), {(4, 4), (4, 5)}),
    ],
)  # fmt: skip
def test_edges_are_those_of_matlab_worked_out_by_hand(image, edges):
    assert _found(image) == edges


@pytest.mark.skipif("S2F_GRID" not in os.environ, reason="S2F_GRID says where the real ones are")
def test_cpbd_of_real_frames_is_that_of_the_definition():
    clips = sorted(pathlib.Path(os.environ["S2F_GRID"]).glob("s1/*.mpg"))[:6]
    images = np.stack([_first_frame(clip) for clip in clips])
    scores = _score(_cpbd, images)
    np.testing.assert_allclose(scores[:2], [_reference_cpbd(i) for i in images[:2]], rtol=1e-5)
    if clips[0].stem == "bbaf2n" and clips[-1].stem == "bbbm2p":
        np.testing.assert_allclose(scores.mean(), 0.333, atol=5e-4)  # Along the row alone, 0.366.


def _first_frame(clip):
    with av.open(str(clip)) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.parametrize("shape", [(64, 64), (128, 96)])
@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("width", range(1, 9))
def test_cpbd_of_a_drawn_edge(width, falling, shape):
    for contrast, widest in ((6 * width, 5), (60 + 12 * width, 3)):  # At most 48; over 50.
        image = _ramp(width, 40, 40 + contrast // width * width, shape)
        image = image[:, ::-1][:, shape[1] - 64 :] if falling else image
        image = np.pad(image, ((0, 0), (0, shape[1] - image.shape[1])), mode="edge")
        assert _score(_cpbd, image[None]) == (max(width, 2) <= widest)


def test_what_is_no_edge_at_all_or_outside_the_blocks_counts_for_nothing():
    gentle = _ramp(30, 40, 100)  # 2 grey levels a pixel; the threshold is above 2.
    outside = _ramp(1, 40, 200, (128, 96), at=72)
    slanting = (
        np.add.outer(9 * np.arange(64), 9 * np.arange(64)).clip(300, 400) - 200
    )  # At 45 degrees.
    assert _score(_cpbd, gentle[None]) == _score(_cpbd, outside[None]) == 0
    assert _score(_cpbd, slanting[None]) == 0
    assert _score(_cpbd, _ramp(1, 40, 200, (63, 90))[None]) == 0  # Smaller than a block.


def test_cpbd_is_the_share_of_the_narrow_edges():
    row = _ramp(2, 40, 160, (64, 96), 10).astype(int) - _ramp(6, 0, 120, (64, 96), 35)
    assert _score(_cpbd, row[None]) == 0.5
    two = np.concatenate([row, _ramp(2, 40, 160, (64, 96), 20)])  # Twice one narrow, once one wide.
    # But for a few more where the two meet, which are maxima along their columns.
    np.testing.assert_allclose(_score(_cpbd, two[None]), [2 / 3], atol=0.02)


def test_a_block_counts_by_the_contrast_that_it_has():
    image = _ramp(4, 40, 88)
    dot = np.array(image)
    dot[5, 50] = 40 + 51
    assert _score(_cpbd, image[None]) == 1
    assert _score(_cpbd, dot[None]) == 0


def test_a_weak_edge_counts_if_it_hangs_together_with_a_strong_one():
    alone = np.full((64, 192), 100)
    alone[20:44, 10:80] += 18
    alone[:, 88:] = _smooth_noise((64, 104), 0, 60, 0)[..., 0]  # Keeps the thresholds up.
    joined = alone.copy()
    joined[20:44, 60:80] += 4 * np.arange(20)  # Slowly, so that the edge goes on unbroken.
    images = [np.repeat(u[..., None], 3, -1) for u in (alone, joined)]
    found = [_canny(image[..., 0].astype(float))[:, :64].sum() for image in images]
    assert found[0] <= 8 < found[1]
    scores = [_score(_cpbd, image[None])[0] for image in images]
    np.testing.assert_allclose(scores, [_reference_cpbd(image) for image in images], rtol=1e-5)
    assert scores[0] != scores[1]


def _reference_fdbm(rgb):
    magnitude = np.abs(np.fft.fft2(rgb @ np.array([0.2125, 0.7154, 0.0721])))
    return np.count_nonzero(magnitude > magnitude.max() / 1000)


@pytest.mark.parametrize("shape", [(128, 96), (64, 48), (50, 101), (33, 64)])
def test_fdbm_is_numpy_s_in_float64_to_two_counts(shape):
    images = np.stack(
        [_smooth_noise(shape, sigma, 40, 0) for sigma in (0, 0.7, 1.5)]
        + [_face(shape), _face(shape, 1), np.full((*shape, 3), 255), np.zeros((*shape, 3))]
    )
    counts = _score(_fdbm, images) * np.prod(shape)
    np.testing.assert_allclose(counts, [_reference_fdbm(i) for i in images.astype(float)], atol=2)


def test_fdbm_of_a_wave_by_hand():
    wave = np.broadcast_to(np.tile([150, 100, 50, 100], 12), (64, 48))
    np.testing.assert_allclose(_score(_fdbm, wave[None]), [3 / (64 * 48)], rtol=1e-6)
    assert _score(_fdbm, np.zeros((1, 64, 48))) == 0


@pytest.mark.parametrize("metric", [_cpbd, _fdbm])
def test_blur_lowers_sharpness(metric):
    sharp = _smooth_noise((128, 96), 0, 70, 0)
    blurred = [cv2.GaussianBlur(sharp, (0, 0), sigma) for sigma in (0.5, 0.6, 0.8, 1)]
    # Below that CPBD looks for other widths, and blur can raise it.
    assert all(np.ptp(image[:64, :64]) > 50 for image in blurred)
    scores = _score(metric, np.stack([sharp, *blurred]))
    assert np.all(np.diff(scores) < 0), scores


def test_a_brighter_image_has_the_same_cpbd_and_a_lower_fdbm():
    image = _face((128, 96)) // 2
    images = np.stack([image, image + 60, image + 120])
    assert len(set(_score(_cpbd, images))) == 1
    assert np.all(np.diff(_score(_fdbm, images)) < 0)


@pytest.mark.parametrize("metric", [_cpbd, _fdbm])
def test_sharpness_is_the_mean_over_valid_frames(metric):
    images = np.stack([_face((128, 96), sigma) for sigma in (0, 0.8, 2)])
    each = _score(metric, images)
    mask = np.array([[True, True, False], [True, True, True], [False, False, False]])
    scores = metric(np.broadcast_to(images, (3, *images.shape)), mask)
    np.testing.assert_allclose(scores[:2], [each[:2].mean(), each.mean()], rtol=1e-6)
    assert np.isnan(scores[2])
