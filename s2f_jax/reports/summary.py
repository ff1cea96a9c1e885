"""Means over the clips of each row and metric, their intervals, and what they are a sample of."""

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from s2f_jax.reports import labels
from s2f_jax.reports.content import ClipScores
from s2f_jax.reports.intervals import LEVEL, combination_interval, mean_interval

_MEAN = "of each clip first, then over clips, unweighted unless the metric is a rate"
_SEEDS = (
    "of rows trained with several seeds: mean over seeds; interval over clips, for these trainings; ±:"
    " standard deviation of the seeds' means; intervals of differences and the findings take in both"
)


def summarize(scores: Iterable[ClipScores]) -> dict[str, dict[str, dict[str, Any]]]:
    """Averages the scores of each row and metric.

    Args:
      scores: Scores of every clip in every row.

    Returns:
      Row -> metric -> "mean" (None where it is infinite), "low" and "high" end of its interval
      (None where the clips are of one speaker of several, or one clip), number of "clips" with a
      score, and reason -> number of those "unscored". Of a row of several runs, the mean over them and
      its interval over the clips that have a finite score in all, the number of "seeds", and the
      standard deviation of the runs' means, "seed_std".
    """
    rows, scores = collections.defaultdict(lambda: collections.defaultdict(list)), list(scores)
    for clip in scores:
        for metric in clip.values:
            rows[clip.row][metric].append(clip)
    units = sampling_units(scores)
    return {
        row: {m: _cell(m, metrics[m], units) for m in labels.ordered_metrics({row: metrics})}
        for row, metrics in rows.items()
    }


def scored_values(
    clips: Sequence[ClipScores], metric: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Selects the clips that have a number in a metric.

    Args:
      clips: Clips of one row.
      metric: Key.

    Returns:
      Values [n], weights [n] and names of the clips.

    Raises:
      ValueError: A value is NaN, or a weight is not above 0.
    """
    scored = [clip for clip in clips if not isinstance(clip.values.get(metric, ""), str)]
    values = np.array([clip.values[metric] for clip in scored], np.float64)
    if np.isnan(values).any():
        raise ValueError(f"{metric} of a clip is NaN: a score is a number or a reason")
    weights = np.array([clip.weights.get(metric, 1.0) for clip in scored], np.float64)
    if not (weights > 0).all():
        raise ValueError(
            f"{metric} of a clip has no weight: such a clip has a reason in place of a score"
        )
    return values, weights, [clip.clip for clip in scored]


def by_run(clips: Iterable[ClipScores]) -> list[list[ClipScores]]:
    """Groups a row's clips by the run that they are of.

    Args:
      clips: Clips of one row.

    Returns:
      A list for each run, in the order of the first clips.
    """
    runs = collections.defaultdict(list)
    for clip in clips:
        runs[clip.run].append(clip)
    return list(runs.values())


def shared_values(
    metric: str, runs: Sequence[Sequence[ClipScores]]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Selects the clips that have a finite number in all runs.

    Args:
      metric: Key.
      runs: Scores of each run.

    Returns:
      Values [runs, clips], weights [runs, clips] and names of the clips.
    """
    by_name = [{clip.clip: clip for clip in run} for run in runs]
    names = [
        name
        for name in by_name[0]
        if all(name in clips and _has_number(clips[name], metric) for clips in by_name)
    ]
    columns = [scored_values([clips[name] for name in names], metric) for clips in by_name]
    values, weights = (np.stack([column[i] for column in columns]) for i in (0, 1))
    return values, weights, names


def sampling_units(scores: Iterable[ClipScores]) -> dict[str, str]:
    """Decides of what an evaluation is a sample: of speakers, or of the clips of its only one.

    Args:
      scores: Scores of every clip, also of those without a number.

    Returns:
      Clip -> its speaker; where all clips have the same, or all are unknown, the clip itself.
    """
    speakers = {clip.clip: clip.speaker for clip in scores}
    return speakers if len(set(speakers.values())) > 1 else {clip: clip for clip in speakers}


def describe_means(scores: Iterable[ClipScores]) -> dict[str, str]:
    """Describes how means and intervals were made, which differs with the speakers.

    Args:
      scores: Scores of every clip.

    Returns:
      Entries for a report's conventions.
    """
    scores = list(scores)
    speakers = {clip.speaker for clip in scores}
    if len(speakers) > 1:
        sample = f"speakers ({len(speakers)})"
    elif speakers == {""}:
        sample = "clips, since their speakers are unknown: too narrow where they share one"
    else:
        sample = "the clips of the one speaker: for other clips of the same, not for other people"
    several = any(clip.run for clip in scores)
    return {
        "mean": _MEAN,
        "interval": f"{LEVEL} %, Student's t over {sample}",
        **({"seeds": _SEEDS} if several else {}),
    }


def _cell(metric: str, clips: Sequence[ClipScores], units: Mapping[str, str]) -> dict[str, Any]:
    runs = by_run(clips)
    if len(runs) > 1:
        return _cell_of_runs(metric, runs, units)
    values, weights, names = scored_values(clips, metric)
    scores = (clip.values[metric] for clip in clips)
    reasons = collections.Counter(score for score in scores if isinstance(score, str))
    mean = low = high = None
    if len(values) and np.isfinite(values).all():
        mean = float((values * weights).sum() / weights.sum())
        if interval := mean_interval(values, weights, [units[name] for name in names]):
            low, high = _within_bounds(metric, mean, interval)
    cell = {"mean": mean, "low": low, "high": high, "clips": len(values)}
    return cell | {"unscored": dict(reasons.most_common())}


def _cell_of_runs(
    metric: str, runs: Sequence[Sequence[ClipScores]], units: Mapping[str, str]
) -> dict[str, Any]:
    """A cell of a row that was trained with several seeds."""
    values, weights, names = shared_values(metric, runs)
    mean = low = high = spread = None
    if names:
        means = (values * weights).sum(axis=1) / weights.sum(axis=1)
        mean, spread = float(means.mean()), float(means.std(ddof=1))
        share = np.full(len(runs), 1 / len(runs))
        own_units = [units[name] for name in names]
        if interval := combination_interval(values, weights, share, own_units):
            low, high = _within_bounds(metric, mean, interval)
    reasons = collections.Counter(_missing_reasons(metric, runs, set(names)).values())
    cell = {"mean": mean, "low": low, "high": high, "clips": len(names)}
    return cell | {"unscored": dict(reasons.most_common()), "seeds": len(runs), "seed_std": spread}


def _missing_reasons(
    metric: str, runs: Sequence[Sequence[ClipScores]], scored: set[str]
) -> dict[str, str]:
    """Each clip without a number in all runs, and the reason of the first run that lacks it."""
    reasons: dict[str, str] = {}
    for clip in (clip for run in runs for clip in run if clip.clip not in scored):
        if not _has_number(clip, metric):
            value = clip.values.get(metric, "not measured in all runs")
            reasons.setdefault(clip.clip, value if isinstance(value, str) else "not finite")
    return reasons


def _within_bounds(metric: str, mean: float, interval: tuple[float, float]) -> tuple[float, float]:
    """The interval, ended where the metric is."""
    least, most = labels.metric_info(metric).bounds
    low, high = np.clip(interval, min(least, mean), max(most, mean)).tolist()
    return low, high


def _has_number(clip: ClipScores, metric: str) -> bool:
    value = clip.values.get(metric, "")
    return not isinstance(value, str) and bool(np.isfinite(value))
