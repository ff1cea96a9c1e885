"""PSNR, SSIM, CPBD and FDBM as a scorer, computed on the device batch by batch."""

import collections
from collections.abc import Sequence

import jax
import numpy as np

from data_pipelines.loading import loader
from s2f_jax.metrics import image, sharpness
from s2f_jax.metrics.scoring import CORRELATION, SHARE, ClipPair, Metric, Score, Scorer, Scores

_SHARPNESS = "sharpness and speech"
METRICS = (
    Metric("psnr", "PSNR", "over all pixels of a clip", "higher", 2, "dB", "images"),
    Metric("psnr_mouth", "PSNR mouth", "inside the mouth box", "higher", 2, "dB", "images"),
    Metric(
        "ssim", "SSIM", "structural similarity of frames",
        "higher", 3, group="images", anchors=(1,), bounds=CORRELATION,
    ),
    Metric(
        "cpbd", "CPBD", "cumulative probability of blur detection",
        "higher", 3, group=_SHARPNESS, bounds=SHARE,
    ),
    Metric(
        "fdbm", "FDBM", "frequency domain blurriness measure",
        "higher", 3, group=_SHARPNESS, bounds=SHARE,
    ),
)  # fmt: skip

_FULL_REFERENCE = {name: jax.jit(getattr(image, name)) for name in ("psnr", "psnr_mouth", "ssim")}
_NO_REFERENCE = {name: jax.jit(getattr(sharpness, name)) for name in ("cpbd", "fdbm")}


class ImageScorer(Scorer):
    """Scores videos of any size by their pixels.

    Videos of one size and similar lengths are scored as one batch.

    Args:
      pixels: Most pixels of a batch, unless a single video has more; by default 8 videos of 75
        frames of 128x96.
    """

    metrics = (*_FULL_REFERENCE, *_NO_REFERENCE)
    conventions = {
        "psnr": "255^2 over the mean squared error of all pixels of a clip",
        "psnr_mouth": "rows 72-111, columns 28-71 of an aligned 128x96 face, scaled with the image",
        "ssim": "Gaussian window 11x11, sigma 1.5, biased covariance, valid region, mean over"
        " channels, then frames",
        "cpbd": "Narvekar and Karam 2011, after their description; grey as Matlab's rgb2gray;"
        " Sobel edges thinned as by Matlab's edge(); whole 64x64 blocks alone, mean over frames",
        "fdbm": "De and Masilamani 2013: frequencies above a thousandth of the strongest, grey"
        " 0.2125 R + 0.7154 G + 0.0721 B, mean over frames",
    }

    def __init__(self, pixels: int = 8 * 75 * 128 * 96):
        self._pixels = pixels

    def __call__(self, pairs: Sequence[ClipPair]) -> list[Scores]:
        """Scores videos of any sizes and lengths.

        Args:
          pairs: The videos and their references.

        Returns:
          The scores of each, in order.
        """
        by_size = collections.defaultdict(list)
        for i, pair in enumerate(pairs):
            by_size[pair.real.shape[1:]].append(i)
        scores: dict[int, Scores] = {}
        for size, indices in by_size.items():
            lengths = [len(pairs[i].real) for i in indices]
            longest_pixels = loader.padded_length(max(lengths)) * int(np.prod(size[:2]))
            for batch in loader.batch_by_length(lengths, max(1, self._pixels // longest_pixels)):
                batch_indices = [indices[i] for i in batch]
                batch_scores = _score_batch([pairs[i] for i in batch_indices])
                scores |= zip(batch_indices, batch_scores, strict=True)
        return [scores[i] for i in range(len(pairs))]


def _score_batch(pairs: Sequence[ClipPair]) -> list[Scores]:
    """Scores pairs of one size as one batch."""
    missing = _missing_metrics(min(pairs[0].real.shape[1:3]))
    generated, real, mask = jax.device_put(_padded_batch(pairs))
    # All are dispatched before the first is waited for.
    results = {k: f(generated, real, mask) for k, f in _FULL_REFERENCE.items() if k not in missing}
    results |= {k: f(generated, mask) for k, f in _NO_REFERENCE.items() if k not in missing}
    arrays = {name: np.asarray(result) for name, result in results.items()}
    scores = []
    for i, pair in enumerate(pairs):
        values: dict[str, Score] = {name: float(x[i]) for name, x in arrays.items()} | missing
        if not pair.aligned:
            values["psnr_mouth"] = "not an aligned face"
        scores.append(Scores({name: values[name] for name in ImageScorer.metrics}))
    return scores


def _missing_metrics(side: int) -> dict[str, Score]:
    """Metrics that images with a shorter side of so many pixels cannot have, and the reason."""
    missing: dict[str, Score] = {}
    if side < image.SSIM_WINDOW:
        missing["ssim"] = "smaller than SSIM's 11x11 window"
    if side < sharpness.BLOCK:
        missing["cpbd"] = "smaller than CPBD's 64x64 blocks"
    return missing


def _padded_batch(pairs: Sequence[ClipPair]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns videos and references uint8 [B, T, H, W, 3], mask bool [B, T].

    B is a power of two, since each batch size is compiled.
    """
    frames = loader.padded_length(max(len(pair.real) for pair in pairs))
    rows = 1 << (len(pairs) - 1).bit_length()
    videos = np.zeros((2, rows, frames, *pairs[0].real.shape[1:]), np.uint8)
    mask = np.zeros((rows, frames), bool)
    for i, pair in enumerate(pairs):
        for side, video in zip(videos, (pair.video, pair.real), strict=True):
            side[i, : len(video)] = video
        mask[i, : len(pair.real)] = True
    return videos[0], videos[1], mask
