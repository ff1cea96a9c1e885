"""Intervals by the bootstrap: speakers are drawn, and of each drawn speaker its clips.

Clips of a speaker are alike, so that drawing clips alone would give intervals that are too narrow.
The same speakers and seed give the same draws, which is what pairs two rows of the same clips.
"""

import functools
from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000
LEVEL = 95  # %.


def bootstrap_interval(
    values: np.ndarray, weights: np.ndarray, speakers: Sequence[str], seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the weighted mean of one value per clip, all [clips]."""
    return percentiles(resampled_means(values, weights, speakers, seed))


def paired_interval(
    values: np.ndarray,
    weights: np.ndarray,
    speakers: Sequence[str],
    seed: int = 0,
    target: float | None = None,
) -> tuple[float, float]:
    """Percentile interval of the weighted mean of row 0 less that of row 1, paired by clip.

    values and weights are [2, clips]. With a target: of the distance of row 0's mean to it less that of
    row 1's.
    """
    ours, others = (
        resampled_means(v, w, speakers, seed) for v, w in zip(values, weights, strict=True)
    )
    if target is not None:
        ours, others = abs(ours - target), abs(others - target)
    return percentiles(ours - others)


def resampled_means(
    values: np.ndarray, weights: np.ndarray, speakers: Sequence[str], seed: int = 0
) -> np.ndarray:
    """The weighted mean in each resample, [RESAMPLES]; weights are above 0."""
    draws = _draws(tuple(speakers), seed)
    return (draws @ (values * weights)) / (draws @ weights)


@functools.lru_cache(maxsize=2)  # Every row and metric of a report is drawn alike.
def _draws(speakers: tuple[str, ...], seed: int) -> np.ndarray:
    """How often each clip is in each resample, [RESAMPLES, clips]."""
    rng = np.random.default_rng(seed)
    names, of_clips = np.unique(speakers, return_inverse=True)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    draws = np.zeros((RESAMPLES, len(speakers)))
    for speaker in range(len(names)):
        clips = np.flatnonzero(of_clips == speaker)
        uniform = np.full(len(clips), 1 / len(clips))
        draws[:, clips] = rng.multinomial(times[:, speaker] * len(clips), uniform)
    return draws


def percentiles(means: np.ndarray) -> tuple[float, float]:
    """Those between which LEVEL % of the resamples lie."""
    low, high = np.percentile(means, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)
