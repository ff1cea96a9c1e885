"""Comparison of a report's rows: paired differences, and whether the paper's claims hold."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from s2f_jax.reports import labels, paper, scores
from s2f_jax.reports.content import ClipScores
from s2f_jax.reports.intervals import paired_interval, percentiles, resampled_means

MODEL, BASELINE = "model", "static_baseline"
SANITY = ("ground_truth", "frozen_still", "shuffled_audio")
_BLINKS = "blinks_per_s"
_RARE = 0.1  # Of how often the real people blink.


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
      excludes neither.
    """
    sides = [{clip.clip: clip for clip in side} for side in (row, baseline)]
    clips = [
        clip
        for clip in sides[0]
        if all(clip in side and _has_number(side[clip], metric) for side in sides)
    ]
    cell = {"mean": None, "low": None, "high": None, "clips": len(clips), "better": None}
    if not clips:
        return cell
    columns = [scores.scored_values([side[clip] for clip in clips], metric) for side in sides]
    values, weights = (np.stack([column[i] for column in columns]) for i in (0, 1))
    means = (values * weights).sum(axis=1) / weights.sum(axis=1)
    cell["mean"] = float(means[0] - means[1])
    if len(clips) > 1:
        speakers = columns[0][2]
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
    """Checks the paper's claims.

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
    cells = scores.summarize([*by_row[MODEL], *by_row[BASELINE]])
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
    holds = difference["better"]
    if claim.lower and difference["low"] is not None:
        holds = _above_zero(-difference["high"], -difference["low"])
    return {"holds": holds, "numbers": ", ".join(numbers)}


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
    rows = [*variants, "ground_truth"]
    scored = [{c.clip for c in by_row.get(row, ()) if _has_number(c, _BLINKS)} for row in rows]
    clips = set.intersection(*scored)
    if len(clips) < 2:
        return 2 * [{"unknown": "fewer than two clips have their blinks counted in all rows"}]
    having_rates, lacking_rates, real_rates = (
        _mean_rates(by_row, group, clips) for group in (having, lacking, ["ground_truth"])
    )
    # The first rate is of all clips, the others of the resamples.
    names = ", ".join(map(labels.title, lacking))
    low, high = percentiles((having_rates - lacking_rates)[1:])
    more = (
        f"{having_rates[0]:.2f}/s against {lacking_rates[0]:.2f}/s without it ({names}), difference"
        f" {labels.format_number(_BLINKS, having_rates[0] - lacking_rates[0], sign=True)}"
        f" {labels.format_interval(_BLINKS, {'low': low, 'high': high})}, {len(clips)} clips"
    )
    rare_interval = percentiles((_RARE * real_rates - lacking_rates)[1:])
    rare = f"{lacking_rates[0]:.2f}/s against {real_rates[0]:.2f}/s of the real, {len(clips)} clips"
    return [
        {"holds": _above_zero(low, high), "numbers": more},
        {"holds": _above_zero(*rare_interval), "numbers": rare},
    ]


def _mean_rates(
    by_row: Mapping[str, Sequence[ClipScores]], rows: Sequence[str], clips: Collection[str]
) -> np.ndarray:
    """Blinks per second, the mean over rows: of all `clips`, then of each resample of them."""
    rates = []
    for row in rows:
        chosen = [clip for clip in by_row[row] if clip.clip in clips]
        values, weights, speakers = scores.scored_values(chosen, _BLINKS)
        mean = (values * weights).sum() / weights.sum()
        rates.append(np.append(mean, resampled_means(values, weights, speakers)))
    return np.mean(rates, axis=0)


def _above_zero(low: float, high: float) -> bool | None:
    """Whether an interval is above 0 (True) or below (False); None where 0 is in it."""
    return True if low > 0 else False if high < 0 else None


def _has_number(clip: ClipScores, metric: str) -> bool:
    value = clip.values.get(metric, "")
    return not isinstance(value, str) and bool(np.isfinite(value))
