import dataclasses

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from s2f_jax.metrics import sharpness
from s2f_jax.metrics.pictures import ImageScorer
from s2f_jax.metrics.scoring import ClipPair


def _pair(frames, height, width, seed=0, aligned=True):
    rng = np.random.default_rng(seed)
    real = rng.integers(0, 236, (frames, height, width, 3), np.uint8)
    video = real + rng.integers(0, 20, real.shape, np.uint8)
    return ClipPair("clip", "s1", "", video, real, 25.0, np.zeros(0, np.int16), 16000, aligned)


@pytest.fixture(scope="module")
def pictures():
    return ImageScorer()


def test_every_pair_has_its_own_scores_whatever_comes_with_it(pictures):
    pairs = [_pair(2, 66, 64, 0), _pair(3, 16, 12, 1), _pair(5, 66, 64, 2), _pair(26, 66, 64, 3)]
    batched = pictures(pairs)
    for pair, scores in zip(pairs, batched, strict=True):
        assert tuple(scores.values) == pictures.metrics
        numbers = {name: of for name, of in scores.values.items() if not isinstance(of, str)}
        alone = pictures([pair])[0].values
        np.testing.assert_allclose(
            [alone[name] for name in numbers], [*numbers.values()], rtol=1e-5
        )
        expected = peak_signal_noise_ratio(pair.real, pair.video)
        np.testing.assert_allclose(numbers["psnr"], expected, rtol=1e-5)
    mask = np.ones((1, 5), bool)
    np.testing.assert_allclose(
        [batched[2].values["cpbd"], batched[2].values["fdbm"]],
        [of(pairs[2].video[None], mask)[0] for of in (sharpness.cpbd, sharpness.fdbm)],
        rtol=1e-5,
    )


def test_the_batch_is_as_large_as_its_pixels_allow():
    pairs = [_pair(2, 16, 12, seed) for seed in range(5)]
    for pixels in (1, 2 * 25 * 16 * 12):
        for one, other in zip(ImageScorer(pixels)(pairs), ImageScorer()(pairs), strict=True):
            assert one.values["psnr"] == pytest.approx(other.values["psnr"])


def test_truth_against_truth(pictures):
    pair = _pair(2, 66, 64)
    truth = dataclasses.replace(pair, video=pair.real)
    values = pictures([truth])[0].values
    assert values["psnr"] == values["psnr_mouth"] == np.inf
    assert values["ssim"] == pytest.approx(1)


@pytest.mark.parametrize(
    "size, aligned, missing",
    [
        ((66, 64), True, {}),
        ((66, 64), False, {"psnr_mouth": "not an aligned face"}),
        ((63, 80), True, {"cpbd": "smaller than CPBD's 64x64 blocks"}),
        (
            (10, 30),
            True,
            {
                "ssim": "smaller than SSIM's 11x11 window",
                "cpbd": "smaller than CPBD's 64x64 blocks",
            },
        ),
    ],
)
def test_what_cannot_be_scored_says_why(pictures, size, aligned, missing):
    values = pictures([_pair(2, *size, aligned=aligned)])[0].values
    assert {name: value for name, value in values.items() if isinstance(value, str)} == missing
    numbers = [value for value in values.values() if not isinstance(value, str)]
    assert np.isfinite(numbers).all()


def test_nothing_to_score(pictures):
    assert pictures([]) == []


def test_every_metric_says_how(pictures):
    assert pictures.conventions.keys() == set(pictures.metrics)
