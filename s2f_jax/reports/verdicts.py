"""Comparison of a report's rows: paired differences, and whether the paper's claims hold."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from s2f_jax.reports import labels, paper, summary
from s2f_jax.reports.content import ClipScores
from s2f_jax.reports.intervals import combination_interval, paired_interval, seed_errors

MODEL, BASELINE = "model", "static_baseline"
SANITY = ("ground_truth", "frozen_still", "shuffled_audio")
_UNTRAINED = ("ground_truth", "frozen_still")
_BLINKS = "blinks_per_s"
_RARE = 0.1  # Of how often the real people blink.
_BLINKING = 0.5  # Of how often the real people blink; who blinks less shows nothing about blinks.
# Multiples of the real people's motion; the first that was measured decides. A model with less than a
# tenth is as good as frozen: trained models have 0.4 and more, the frozen still 0.
_MOTION, _LEAST_MOTION = ("mouth_energy", "jitter"), 0.1


def paired_difference(
    metric: str, row: Sequence[ClipScores], baseline: Sequence[ClipScores]
) -> dict[str, Any]:
    """Computes the difference of two rows' means over the clips that both have a number for.

    Args:
      metric: Key.
      row: Scores of one row.
      baseline: Scores of the row that is subtracted.

    Returns:
      "mean", "low" and "high" of the difference, the number of "clips", and "better": whether the
      95 % interval says that the row is better (for metrics best at 1: nearer to it), None where it
      excludes neither. Where a row was trained with several seeds, the numbers of "seeds" of both and
      "seed_error", the standard error that the seeds give the difference; the interval takes it in.
    """
    shared = _share(metric, [row, baseline])
    count = len(shared.units)
    cell = {"mean": None, "low": None, "high": None, "clips": count, "better": None}
    if not count:
        return cell
    means = shared.means()
    cell["mean"] = float(means[0] - means[1])
    if interval := shared.difference():
        cell |= dict(zip(("low", "high"), interval, strict=True))
    better = labels.metric_info(metric).better
    if better == "one":
        interval = shared.difference(target=1.0)
    if better and interval and (above := _above_zero(*interval)) is not None:
        cell["better"] = above == (better == "higher")
    if len(shared.row_of_run) > 2:
        cell |= {"seeds": shared.runs_of_row.tolist(), "seed_error": shared.seed_error()}
    return cell


@dataclasses.dataclass(frozen=True)
class _Shared:
    """What rows have in common: the clips that all their runs have a finite number for.

    Attributes:
      values: [runs, clips], of all rows.
      weights: [runs, clips].
      units: Sampling unit of each clip.
      row_of_run: [runs], the row's index.
      trained: [runs], as in intervals.combination_interval.
    """

    values: np.ndarray
    weights: np.ndarray
    units: Sequence[str]
    row_of_run: np.ndarray
    trained: Sequence[str]

    @property
    def runs_of_row(self) -> np.ndarray:
        """Number of runs of each row."""
        return np.bincount(self.row_of_run)

    def run_means(self) -> np.ndarray:
        """Means over the clips, [runs]."""
        return (self.values * self.weights).sum(axis=1) / self.weights.sum(axis=1)

    def means(self) -> np.ndarray:
        """Means over the clips, then over a row's runs, [rows]."""
        return np.bincount(self.row_of_run, self.run_means()) / self.runs_of_row

    def difference(self, target: float | None = None) -> tuple[float, float] | None:
        """Interval of the first row less the second, or of their distances to the target."""
        sides, trained = self.row_of_run.tolist(), self.trained
        return paired_interval(self.values, self.weights, self.units, target, sides, trained)

    def combination(self, coefficients: np.ndarray) -> tuple[float, float] | None:
        """Interval of the sum of the rows' means, each times a coefficient [rows]."""
        of_run = (coefficients / self.runs_of_row)[self.row_of_run]
        return combination_interval(self.values, self.weights, of_run, self.units, self.trained)

    def seed_error(self) -> float:
        """Standard error that the seeds give the difference of two rows."""
        of_run = (np.array([1, -1]) / self.runs_of_row)[self.row_of_run]
        errors = seed_errors(self.run_means(), of_run, self.trained)
        return float(np.sqrt(sum(squared for squared, _ in errors)))


def _share(metric: str, rows: Sequence[Sequence[ClipScores]]) -> _Shared:
    """Selects what the rows have in common."""
    runs = [summary.by_run(row) or [[]] for row in rows]
    row_of_run = np.repeat(np.arange(len(rows)), [len(of_row) for of_row in runs])
    values, weights, names = summary.shared_values(
        metric, [run for of_row in runs for run in of_row]
    )
    units = summary.sampling_units([clip for row in rows for clip in row])
    untrained = [bool(row) and row[0].row in _UNTRAINED for row in rows]
    trained = ["" if untrained[i] else str(i) for i in row_of_run]
    return _Shared(values, weights, [units[name] for name in names], row_of_run, trained)


def check_claims(
    by_row: Mapping[str, Sequence[ClipScores]], with_sequence: Collection[str]
) -> list[dict[str, Any]]:
    """Checks the paper's claims.

    What does not move confirms nothing: motion in silence and jitter have to be nearer to the real
    people's, not only less; a model that hardly moves confirms no claim at all; and the claims on
    blinks hold only if the variants with a sequence discriminator blink at least half as often as the
    real people.

    Args:
      by_row: Row -> its scores.
      with_sequence: Rows whose models were trained with a sequence discriminator.

    Returns:
      For each claim "claim", "metric", "holds" (None where the 95 % interval decides nothing) and
      "numbers"; "unknown" in place of the last says why nothing was measured.
    """
    missing = [row for row in (MODEL, BASELINE) if row not in by_row]
    entries = []
    for claim in paper.CLAIMS:
        if missing:
            result = {"unknown": f"there is no row {labels.title(missing[0])}"}
        else:
            result = _check_model_claim(claim, by_row)
        entries.append({"claim": claim.text, "metric": claim.metric, "holds": None} | result)
    results = _check_blink_claims(by_row, with_sequence)
    return entries + [
        {"claim": text, "metric": _BLINKS, "holds": None} | result
        for text, result in zip(paper.BLINK_CLAIMS, results, strict=True)
    ]


def _check_model_claim(
    claim: paper.PaperClaim, by_row: Mapping[str, Sequence[ClipScores]]
) -> dict[str, Any]:
    metric, info = claim.metric, labels.metric_info(claim.metric)
    cells = summary.summarize([*by_row[MODEL], *by_row[BASELINE]])
    model, baseline = (cells[row].get(metric) for row in (MODEL, BASELINE))
    if model is None or baseline is None:
        return {"unknown": f"no {info.title} in this evaluation"}
    difference = paired_difference(metric, by_row[MODEL], by_row[BASELINE])
    if difference["mean"] is None:
        reasons = {**model["unscored"], **baseline["unscored"]}
        return {"unknown": "; ".join(reasons) or "no clip has a finite score in both"}
    change = labels.format_number(metric, difference["mean"], sign=True)
    interval = labels.format_interval(metric, difference)
    numbers = [
        f"{labels.format_mean(metric, model)} against {labels.format_mean(metric, baseline)}",
        f"difference {change} {interval} {info.unit}".strip(),
        f"{difference['clips']} clips",
    ]
    if "seeds" in difference:
        numbers.append("{} and {} seeds".format(*difference["seeds"]))
    holds = difference["better"]
    if claim.lower:
        numbers.append(f"{'' if difference['mean'] < 0 else 'not '}lower in the mean")
        numbers.append(_describe_distance(metric, by_row[MODEL], by_row[BASELINE]))
    if holds and (motion := _describe_frozen(by_row)):
        holds = None
        numbers.append(f"but the model {motion}, and what does not move confirms nothing")
    return {"holds": holds, "numbers": ", ".join(numbers)}


def _describe_distance(
    metric: str, row: Sequence[ClipScores], baseline: Sequence[ClipScores]
) -> str:
    """Formats the difference of two rows' distances to 1, below 0 where the row is nearer."""
    shared = _share(metric, [row, baseline])
    distances = np.abs(shared.means() - 1)
    low, high = shared.difference(target=1.0) or (None, None)
    change = labels.format_number(metric, distances[0] - distances[1], sign=True)
    interval = labels.format_interval(metric, {"low": low, "high": high})
    return f"distance to 1 {change} {interval}".strip()


def _describe_frozen(by_row: Mapping[str, Sequence[ClipScores]]) -> str:
    """Says how little the model moves, if it is as good as frozen; else ""."""
    cells = summary.summarize(by_row[MODEL])[MODEL]
    measured = [m for m in _MOTION if m in cells and cells[m]["mean"] is not None]
    if measured and cells[measured[0]]["mean"] < _LEAST_MOTION:
        metric = measured[0]
        value = labels.format_mean(metric, cells[metric])
        return f"hardly moves ({labels.title(metric)} {value} of the real)"
    stills = {clip.clip: clip.values for clip in by_row.get("frozen_still", ())}
    if stills and all(_agree(clip.values, stills.get(clip.clip, {})) for clip in by_row[MODEL]):
        return "scores as the frozen still in every clip"
    return ""


def _check_blink_claims(
    by_row: Mapping[str, Sequence[ClipScores]], with_sequence: Collection[str]
) -> list[dict[str, Any]]:
    """Checks the two claims on blinks, over the clips that all rows have a number for."""
    variants = [row for row in by_row if row not in SANITY]
    having = [row for row in variants if row in with_sequence]
    lacking = [row for row in variants if row not in with_sequence]
    if not (having and lacking):
        preposition = "without" if having else "with"
        return 2 * [{"unknown": f"there is no row {preposition} a sequence discriminator"}]
    shared = _share(_BLINKS, [by_row.get(row, ()) for row in (*having, *lacking, "ground_truth")])
    count = len(shared.units)
    if count < 2:
        return 2 * [{"unknown": "fewer than two clips have their blinks counted in all rows"}]
    # Each group's rate is the mean over its rows.
    groups = np.repeat(np.eye(3), (len(having), len(lacking), 1), axis=1)
    groups /= groups.sum(axis=1, keepdims=True)
    rates = groups @ shared.means()
    names = ", ".join(map(labels.title, lacking))
    interval = shared.combination(groups[0] - groups[1])
    low, high = interval or (None, None)
    more = (
        f"{rates[0]:.2f}/s against {rates[1]:.2f}/s without it ({names}), difference"
        f" {labels.format_number(_BLINKS, rates[0] - rates[1], sign=True)}"
        f" {labels.format_interval(_BLINKS, {'low': low, 'high': high})}, {count} clips"
    )
    rarity = shared.combination(_RARE * groups[2] - groups[1])
    rare = f"{rates[1]:.2f}/s against {rates[2]:.2f}/s of the real, {count} clips"
    results = [
        {"holds": _above_zero(*ends) if ends else None, "numbers": numbers}
        for ends, numbers in ((interval, more), (rarity, rare))
    ]
    # Where next to nobody blinks, nobody blinks more, and none is the only one who does not.
    if not (rates[2] > 0 and rates[0] >= _BLINKING * rates[2]):
        few = (
            f", but those with it blink {rates[0]:.2f}/s, less than half as often as the real"
            f" people ({rates[2]:.2f}/s), which confirms nothing about blinks"
        )
        results = [
            result
            if result["holds"] is False
            else {"holds": None, "numbers": result["numbers"] + few}
            for result in results
        ]
    return results


def _above_zero(low: float, high: float) -> bool | None:
    """Whether an interval is above 0 (True) or below (False); None where 0 is in it."""
    return True if low > 0 else False if high < 0 else None


def _agree(values: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether two sets of scores have the same numbers in all that both measure, and measure any."""
    shared = values.keys() & others.keys()
    return bool(shared) and all(values[metric] == others[metric] for metric in shared)
