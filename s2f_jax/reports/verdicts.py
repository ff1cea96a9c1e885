"""Rows of a report against each other: paired differences, and whether the paper's findings hold."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from s2f_jax.reports import labels, paper, scores
from s2f_jax.reports.intervals import paired_interval, percentiles, resampled_means
from s2f_jax.reports.scores import ClipScores

MODEL, BASELINE = "model", "static_baseline"
SANITY = ("ground_truth", "frozen_still", "shuffled_audio")
_BLINKS = "blinks_per_s"
_RARE = 0.1  # Of how often the real people blink.


def paired_difference(
    metric: str, ours: Sequence[ClipScores], others: Sequence[ClipScores]
) -> dict[str, Any]:
    """What one row's mean is more than another's, over the clips that both have a number for.

    "better": whether the 95 % interval says that ours is better (for what is best at 1: nearer to
    it), None where it does not say.
    """
    sides = [{clip.clip: clip for clip in side} for side in (ours, others)]
    both = [name for name in sides[0] if name in sides[1]]
    both = [name for name in both if all(_finite(side[name], metric) for side in sides)]
    cell = {"mean": None, "low": None, "high": None, "clips": len(both), "better": None}
    if not both:
        return cell
    found = [scores.scored_values([side[name] for name in both], metric) for side in sides]
    values, weights = (np.stack([side[i] for side in found]) for i in (0, 1))
    means = (values * weights).sum(axis=1) / weights.sum(axis=1)
    cell["mean"] = float(means[0] - means[1])
    if len(both) > 1:
        speakers = found[0][2]
        low, high = paired_interval(values, weights, speakers)
        cell |= {"low": low, "high": high}
        better = labels.metric_info(metric).better
        if better == "one":
            low, high = paired_interval(values, weights, speakers, target=1.0)
        if better and (low > 0 or high < 0):
            cell["better"] = (low > 0) == (better == "higher")
    return cell


def check_claims(
    by_row: Mapping[str, Sequence[ClipScores]], with_sequence: Collection[str]
) -> list[dict[str, Any]]:
    """The paper's findings: {"claim", "metric", "holds", "numbers"} each.

    holds: None where the 95 % interval decides nothing; where nothing was measured, "unknown" says why.
    with_sequence: the rows whose models were trained with a sequence discriminator.
    """
    found = []
    for ordering in paper.CLAIMS:
        entry = {"claim": ordering.claim, "metric": ordering.metric, "holds": None}
        missing = [row for row in (MODEL, BASELINE) if row not in by_row]
        if missing:
            entry["unknown"] = f"there is no row {labels.title(missing[0])}"
        else:
            entry |= _model_against_baseline(ordering, by_row)
        found.append(entry)
    of_blinks = _blinks(by_row, with_sequence)
    return found + [
        {"claim": claim, "metric": _BLINKS, "holds": None} | of
        for claim, of in zip(paper.BLINK_CLAIMS, of_blinks, strict=True)
    ]


def _model_against_baseline(
    ordering: paper.Claim, by_row: Mapping[str, Sequence[ClipScores]]
) -> dict[str, Any]:
    metric = ordering.metric
    cells = scores.summarize([*by_row[MODEL], *by_row[BASELINE]])
    ours, others = (cells[row].get(metric) for row in (MODEL, BASELINE))
    if ours is None or others is None:
        return {"unknown": f"no {labels.metric_info(metric).label} in this evaluation"}
    found = paired_difference(metric, by_row[MODEL], by_row[BASELINE])
    if found["mean"] is None:
        reasons = {**ours["unscored"], **others["unscored"]}
        return {"unknown": "; ".join(reasons) or "no clip has a finite score in both"}
    change = labels.format_number(metric, found["mean"], sign=True)
    parts = [
        f"{labels.format_mean(metric, ours)} against {labels.format_mean(metric, others)}",
        f"difference {change} {labels.format_interval(metric, found)} {labels.metric_info(metric).unit}".strip(),
        f"{found['clips']} clips",
    ]
    holds = found["better"]
    if ordering.less and found["low"] is not None:
        holds = _above_zero(-found["high"], -found["low"])
    return {"holds": holds, "numbers": ", ".join(parts)}


def _blinks(
    by_row: Mapping[str, Sequence[ClipScores]], with_sequence: Collection[str]
) -> list[dict[str, Any]]:
    """The two findings on blinks, from the clips that all rows have a number for."""
    variants = [row for row in by_row if row not in SANITY]
    having = [row for row in variants if row in with_sequence]
    lacking = [row for row in variants if row not in with_sequence]
    if not (having and lacking):
        what = "without" if having else "with"
        return 2 * [{"unknown": f"there is no row {what} a sequence discriminator"}]
    rows = [*variants, "ground_truth"]
    scored = [{c.clip for c in by_row.get(row, ()) if _finite(c, _BLINKS)} for row in rows]
    clips = set.intersection(*scored)
    if len(clips) < 2:
        return 2 * [{"unknown": "fewer than two clips have their blinks counted in all rows"}]
    ours, others, real = (
        _mean_rate(by_row, of, clips) for of in (having, lacking, ["ground_truth"])
    )
    names = ", ".join(map(labels.title, lacking))
    low, high = percentiles((ours - others)[1:])
    more = (
        f"{ours[0]:.2f}/s against {others[0]:.2f}/s without it ({names}), difference"
        f" {labels.format_number(_BLINKS, ours[0] - others[0], sign=True)}"
        f" {labels.format_interval(_BLINKS, {'low': low, 'high': high})}, {len(clips)} clips"
    )
    rare = percentiles((_RARE * real - others)[1:])
    never = f"{others[0]:.2f}/s against {real[0]:.2f}/s of the real, {len(clips)} clips"
    return [
        {"holds": _above_zero(low, high), "numbers": more},
        {"holds": _above_zero(*rare), "numbers": never},
    ]


def _mean_rate(
    by_row: Mapping[str, Sequence[ClipScores]], rows: Sequence[str], clips: Collection[str]
) -> np.ndarray:
    """Blinks a second, the mean over rows: of all `clips`, then of each resample of them."""
    rates = []
    for row in rows:
        chosen = [clip for clip in by_row[row] if clip.clip in clips]
        values, weights, speakers = scores.scored_values(chosen, _BLINKS)
        mean = (values * weights).sum() / weights.sum()
        rates.append(np.append(mean, resampled_means(values, weights, speakers)))
    return np.mean(rates, axis=0)


def _above_zero(low: float, high: float) -> bool | None:
    """Of an interval; None where 0 is in it."""
    return True if low > 0 else False if high < 0 else None


def _finite(clip: ClipScores, metric: str) -> bool:
    value = clip.values.get(metric, "")
    return not isinstance(value, str) and bool(np.isfinite(value))
