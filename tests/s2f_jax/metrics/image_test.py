import jax
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from data_pipelines.faces import boxes
from s2f_jax.metrics import image
from s2f_jax.models import pixels

_psnr, _psnr_mouth, _ssim = jax.jit(image.psnr), jax.jit(image.psnr_mouth), jax.jit(image.ssim)


def _videos(b=2, t=3, h=32, w=24, noise=25.0):
    """Smooth random videos and noisy copies: uint8 [b, t, h, w, 3] twice."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:h, :w]
    phase = rng.uniform(0, 6, (b, t, 1, 1, 3))
    real = 127 + 100 * np.sin(y[..., None] / 5 + phase) * np.cos(x[..., None] / 7 + phase)
    generated = real + rng.normal(0, noise, real.shape) * rng.uniform(0.2, 1, (b, t, 1, 1, 1))
    real, generated = (np.clip(v, 0, 255).astype(np.uint8) for v in (real, generated))
    return generated, real


def _skimage_ssim(a, b):
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return structural_similarity(a, b, data_range=255, channel_axis=-1, **options)


def test_psnr_is_scikit_image_s_over_the_whole_clip():
    generated, real = _videos()
    mask = np.ones(real.shape[:2], bool)
    expected = [peak_signal_noise_ratio(r, g) for r, g in zip(real, generated, strict=True)]
    np.testing.assert_allclose(_psnr(generated, real, mask), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(32, 24), (128, 96)])
def test_ssim_is_scikit_image_s_averaged_over_frames(shape):
    generated, real = _videos(1, 2, *shape)
    mask = np.ones(real.shape[:2], bool)
    expected = np.mean([_skimage_ssim(r, g) for r, g in zip(real[0], generated[0], strict=True)])
    assert 0.1 < expected < 0.95
    np.testing.assert_allclose(_ssim(generated, real, mask), [expected], atol=1e-4)
    as_float = _ssim(generated.astype(np.float32), real.astype(np.float32), mask)
    np.testing.assert_allclose(as_float, [expected], atol=1e-4)


def test_ssim_of_bright_flat_images_is_scikit_image_s():
    real = np.full((1, 1, 16, 16, 3), 250, np.uint8)
    generated = real + np.random.default_rng(0).integers(0, 3, real.shape, np.uint8)
    expected = _skimage_ssim(real[0, 0], generated[0, 0])
    np.testing.assert_allclose(_ssim(generated, real, np.ones((1, 1), bool)), [expected], atol=1e-4)


def test_truth_against_truth():
    _, real = _videos()
    mask = np.ones(real.shape[:2], bool)
    assert np.all(np.isposinf(_psnr(real, real, mask)))
    assert np.all(np.isposinf(_psnr_mouth(real, real, mask)))
    np.testing.assert_allclose(_ssim(real, real, mask), 1, atol=1e-5)


@pytest.mark.parametrize("metric", [_psnr, _psnr_mouth, _ssim])
def test_masked_frames_do_not_count(metric):
    generated, real = _videos()
    mask = np.array([[True, True, False], [True, False, False]])
    damaged = np.where(mask[..., None, None, None], generated, 0)
    full = np.ones((1, 2), bool)
    values = metric(damaged, real, mask)
    np.testing.assert_allclose(values[:1], metric(generated[:1, :2], real[:1, :2], full), rtol=1e-5)
    np.testing.assert_allclose(values, metric(generated, real, mask), rtol=1e-5)


def test_a_clip_without_valid_frames_is_not_a_number():
    generated, real = _videos(1)
    assert np.isnan(_ssim(generated, real, np.zeros((1, 3), bool))[0])
    assert np.isnan(_psnr(generated, real, np.zeros((1, 3), bool))[0])


def test_psnr_by_hand():
    real = np.full((1, 1, 32, 24, 3), 100, np.uint8)
    mask = np.ones((1, 1), bool)
    np.testing.assert_allclose(_psnr(real + 51, real, mask), 20 * np.log10(5), rtol=1e-5)


@pytest.mark.parametrize(
    "height, width, box",
    [(128, 96, (72, 112, 28, 72)), (64, 48, (36, 56, 14, 36)), (256, 192, (144, 224, 56, 144))],
)
def test_the_mouth_box_scales_with_the_image(height, width, box):
    rows, columns = boxes.mouth_box(height, width)
    assert (rows.start, rows.stop, columns.start, columns.stop) == box


def test_psnr_mouth_sees_the_mouth_box_and_nothing_else():
    mask = np.ones((1, 1), bool)
    real = np.zeros((1, 1, 128, 96, 3), np.uint8)
    inside = real.copy()
    inside[:, :, 72:112, 28:72] = 255
    np.testing.assert_allclose(_psnr_mouth(inside, real, mask), 0, atol=1e-5)
    outside = np.full_like(real, 255)
    outside[:, :, 72:112, 28:72] = 0
    assert np.isposinf(_psnr_mouth(outside, real, mask)[0])


def test_to_uint8_rounds_and_clips():
    x = np.array([-1.2, -1, 0.5 / 127.5 - 1 + 1e-5, 0.4 / 127.5 - 1, 1, 7], np.float32)
    values = pixels.to_uint8(x)
    assert values.dtype == np.uint8
    np.testing.assert_array_equal(values, [0, 0, 1, 0, 255, 255])


def test_ssim_refuses_images_smaller_than_its_window():
    tiny = np.zeros((1, 1, 10, 12, 3), np.uint8)
    with pytest.raises(ValueError, match="10 pixels"):
        image.ssim(tiny, tiny, np.ones((1, 1), bool))
