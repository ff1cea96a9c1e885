"""Bootstrap intervals: speakers are resampled, and within each drawn speaker its clips.

Clips of a speaker are alike, so that resampling clips alone would give intervals that are too
narrow. The same speakers and seed give the same resamples, which pairs two rows of the same clips.
"""

import functools
from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000
LEVEL = 95  # %.


def bootstrap_interval(
    values: np.ndarray, weights: np.ndarray, speakers: Sequence[str], seed: int = 0
) -> tuple[float, float]:
    """Computes the percentile interval of a weighted mean over clips.

    Args:
      values: [clips].
      weights: [clips], above 0.
      speakers: Speaker of each clip.
      seed: Seed of the resamples.

    Returns:
      Low and high end.
    """
    return percentiles(resampled_means(values, weights, speakers, seed))


def paired_interval(
    values: np.ndarray, weights: np.ndarray, speakers: Sequence[str], target: float | None = None
) -> tuple[float, float]:
    """Computes the percentile interval of the difference of two weighted means, paired by clip.

    Args:
      values: [2, clips]; row 1 is subtracted from row 0.
      weights: [2, clips], above 0.
      speakers: Speaker of each clip.
      target: If given, the difference is that of the means' distances to this value.

    Returns:
      Low and high end.
    """
    first, second = (resampled_means(v, w, speakers) for v, w in zip(values, weights, strict=True))
    if target is not None:
        first, second = abs(first - target), abs(second - target)
    return percentiles(first - second)


def resampled_means(
    values: np.ndarray, weights: np.ndarray, speakers: Sequence[str], seed: int = 0
) -> np.ndarray:
    """Computes the weighted mean of each resample.

    Args:
      values: [clips].
      weights: [clips], above 0.
      speakers: Speaker of each clip.
      seed: Seed of the resamples.

    Returns:
      [RESAMPLES].
    """
    draws = _draws(tuple(speakers), seed)
    return (draws @ (values * weights)) / (draws @ weights)


@functools.lru_cache(maxsize=2)  # All rows and metrics of a report have the same resamples.
def _draws(speakers: tuple[str, ...], seed: int) -> np.ndarray:
    """How often each clip is in each resample, [RESAMPLES, clips]."""
    rng = np.random.default_rng(seed)
    names, speaker_of_clip = np.unique(speakers, return_inverse=True)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    draws = np.zeros((RESAMPLES, len(speakers)))
    for speaker in range(len(names)):
        clips = np.flatnonzero(speaker_of_clip == speaker)
        uniform = np.full(len(clips), 1 / len(clips))
        draws[:, clips] = rng.multinomial(times[:, speaker] * len(clips), uniform)
    return draws


def percentiles(means: np.ndarray) -> tuple[float, float]:
    """Computes the interval in which LEVEL % of the resamples lie.

    Args:
      means: [RESAMPLES].

    Returns:
      Low and high end.
    """
    low, high = np.percentile(means, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)
