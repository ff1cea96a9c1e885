"""The instrument of image arithmetic: PSNR, SSIM, CPBD and FDBM, on the device, batch by batch."""

import collections
from collections.abc import Sequence

import jax
import numpy as np

from data_pipelines.loading import loader
from s2f_jax.metrics import image, sharpness
from s2f_jax.metrics.scoring import Score, Scores, VideoPair

# Of the video and the real clip, and of the video alone.
_OF_BOTH = {name: jax.jit(getattr(image, name)) for name in ("psnr", "psnr_mouth", "ssim")}
_OF_VIDEO = {name: jax.jit(getattr(sharpness, name)) for name in ("cpbd", "fdbm")}


class ImageScorer:
    """Scores videos of any size by their pixels.

    Videos of one size and of like lengths go through as one batch, of at most `pixels` pixels
    unless a single one has more: 8 of 75 frames of 128x96.
    """

    metrics = (*_OF_BOTH, *_OF_VIDEO)
    about = {
        "psnr": "255^2 over the mean squared error of all pixels of a clip",
        "psnr_mouth": "rows 72-111, columns 28-71 of an aligned 128x96 face, scaled with the image",
        "ssim": "Gaussian window 11x11, sigma 1.5, biased covariance, valid region, mean over"
        " channels, then frames",
        "cpbd": "Narvekar and Karam 2011, after their description; grey as Matlab's rgb2gray;"
        " Sobel edges thinned along the row; whole 64x64 blocks alone, mean over frames",
        "fdbm": "De and Masilamani 2013: frequencies above a thousandth of the strongest, grey"
        " 0.2125 R + 0.7154 G + 0.0721 B, mean over frames",
    }

    def __init__(self, pixels: int = 8 * 75 * 128 * 96):
        self._pixels = pixels

    def __call__(self, pairs: Sequence[VideoPair]) -> list[Scores]:
        by_size = collections.defaultdict(list)
        for i, pair in enumerate(pairs):
            by_size[pair.real.shape[1:]].append(i)
        scores: dict[int, Scores] = {}
        for size, indices in by_size.items():
            lengths = [len(pairs[i].real) for i in indices]
            of_longest = loader.padded(max(lengths)) * int(np.prod(size[:2]))
            for batch in loader.by_length(lengths, max(1, self._pixels // of_longest)):
                chosen = [indices[i] for i in batch]
                scores |= zip(chosen, _score([pairs[i] for i in chosen]), strict=True)
        return [scores[i] for i in range(len(pairs))]


def _score(pairs: Sequence[VideoPair]) -> list[Scores]:
    """Pairs of one size -> their scores, computed as one batch."""
    none = _impossible(min(pairs[0].real.shape[1:3]))
    generated, real, mask = jax.device_put(_batch(pairs))
    found = {name: of(generated, real, mask) for name, of in _OF_BOTH.items() if name not in none}
    found |= {name: of(generated, mask) for name, of in _OF_VIDEO.items() if name not in none}
    values = {name: np.asarray(of) for name, of in found.items()}
    scores = []
    for i, pair in enumerate(pairs):
        of_pair: dict[str, Score] = {name: float(of[i]) for name, of in values.items()} | none
        if not pair.aligned:
            of_pair["psnr_mouth"] = "not an aligned face"
        scores.append(Scores({name: of_pair[name] for name in ImageScorer.metrics}))
    return scores


def _impossible(side: int) -> dict[str, Score]:
    """Metric -> why there is none of images whose smaller side has so many pixels."""
    none: dict[str, Score] = {}
    if side < image.SSIM_WINDOW:
        none["ssim"] = "smaller than SSIM's 11x11 window"
    if side < sharpness.BLOCK:
        none["cpbd"] = "smaller than CPBD's 64x64 blocks"
    return none


def _batch(pairs: Sequence[VideoPair]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """uint8 [B, T, H, W, 3] twice, mask bool [B, T]; B a power of two, since each is compiled."""
    frames = loader.padded(max(len(pair.real) for pair in pairs))
    rows = 1 << (len(pairs) - 1).bit_length()
    videos = np.zeros((2, rows, frames, *pairs[0].real.shape[1:]), np.uint8)
    mask = np.zeros((rows, frames), bool)
    for i, pair in enumerate(pairs):
        for side, video in zip(videos, (pair.video, pair.real), strict=True):
            side[i, : len(video)] = video
        mask[i, : len(pair.real)] = True
    return videos[0], videos[1], mask
