"""Comparison of a report's rows: paired differences, and whether the paper's claims hold."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from s2f_jax.reports import labels, paper, scores
from s2f_jax.reports.content import ClipScores
from s2f_jax.reports.intervals import combination_interval, paired_interval

MODEL, BASELINE = "model", "static_baseline"
SANITY = ("ground_truth", "frozen_still", "shuffled_audio")
_BLINKS = "blinks_per_s"
_RARE = 0.1  # Of how often the real people blink.
_BLINKING = 0.5  # Of how often the real people blink; who blinks less shows nothing about blinks.
# Multiples of the real people's motion. A model with less than a tenth of each is as good as frozen:
# trained models have 0.4 and more, the frozen still 0.
_MOTION, _LEAST_MOTION = ("mouth_energy", "silence_motion", "jitter"), 0.1


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
    values, weights, units = _shared_clips(metric, [row, baseline])
    cell = {"mean": None, "low": None, "high": None, "clips": len(units), "better": None}
    if not units:
        return cell
    means = (values * weights).sum(axis=1) / weights.sum(axis=1)
    cell["mean"] = float(means[0] - means[1])
    if interval := paired_interval(values, weights, units):
        cell |= dict(zip(("low", "high"), interval, strict=True))
    better = labels.metric_info(metric).better
    if better == "one":
        interval = paired_interval(values, weights, units, target=1.0)
    if better and interval and (above := _above_zero(*interval)) is not None:
        cell["better"] = above == (better == "higher")
    return cell


def _paired_distance(
    metric: str, row: Sequence[ClipScores], baseline: Sequence[ClipScores]
) -> dict[str, Any]:
    """The difference of two rows' distances to 1: "mean", "low" and "high", below 0 if the row is nearer."""
    values, weights, units = _shared_clips(metric, [row, baseline])
    distances = np.abs((values * weights).sum(axis=1) / weights.sum(axis=1) - 1)
    low, high = paired_interval(values, weights, units, target=1.0) or (None, None)
    return {"mean": float(distances[0] - distances[1]), "low": low, "high": high}


def _shared_clips(
    metric: str, rows: Sequence[Sequence[ClipScores]]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Values and weights [rows, clips], and units [clips], of clips that have a number in all rows."""
    by_name = [{clip.clip: clip for clip in row} for row in rows]
    names = [
        name
        for name in by_name[0]
        if all(name in clips and _has_number(clips[name], metric) for clips in by_name)
    ]
    columns = [scores.scored_values([clips[name] for name in names], metric) for clips in by_name]
    values, weights = (np.stack([column[i] for column in columns]) for i in (0, 1))
    units = scores.sampling_units([clip for row in rows for clip in row])
    return values, weights, [units[name] for name in names]


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
    if claim.lower:
        distance = _paired_distance(metric, by_row[MODEL], by_row[BASELINE])
        change = labels.format_number(metric, distance["mean"], sign=True)
        numbers.append(f"{'' if difference['mean'] < 0 else 'not '}lower in the mean")
        numbers.append(f"distance to 1 {change} {labels.format_interval(metric, distance)}".strip())
    if holds and (motion := _describe_frozen(by_row)):
        holds = None
        numbers.append(f"but the model {motion}, and what does not move confirms nothing")
    return {"holds": holds, "numbers": ", ".join(numbers)}


def _describe_frozen(by_row: Mapping[str, Sequence[ClipScores]]) -> str:
    """Says how little the model moves, if it is as good as frozen; else ""."""
    cells = scores.summarize(by_row[MODEL])[MODEL]
    motion = {m: cells[m] for m in _MOTION if m in cells and cells[m]["mean"] is not None}
    if motion and all(cell["mean"] < _LEAST_MOTION for cell in motion.values()):
        texts = (f"{labels.title(m)} {labels.format_mean(m, cell)}" for m, cell in motion.items())
        return f"hardly moves ({', '.join(texts)} of the real)"
    stills = {clip.clip: clip.values for clip in by_row.get("frozen_still", ())}
    if stills and all(clip.values == stills.get(clip.clip) for clip in by_row[MODEL]):
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
    rows = [by_row.get(row, ()) for row in (*having, *lacking, "ground_truth")]
    values, weights, units = _shared_clips(_BLINKS, rows)
    if len(units) < 2:
        return 2 * [{"unknown": "fewer than two clips have their blinks counted in all rows"}]
    # Each group's rate is the mean over its rows.
    groups = np.repeat(np.eye(3), (len(having), len(lacking), 1), axis=1)
    groups /= groups.sum(axis=1, keepdims=True)
    rates = groups @ ((values * weights).sum(axis=1) / weights.sum(axis=1))
    names = ", ".join(map(labels.title, lacking))
    interval = combination_interval(values, weights, groups[0] - groups[1], units)
    low, high = interval or (None, None)
    more = (
        f"{rates[0]:.2f}/s against {rates[1]:.2f}/s without it ({names}), difference"
        f" {labels.format_number(_BLINKS, rates[0] - rates[1], sign=True)}"
        f" {labels.format_interval(_BLINKS, {'low': low, 'high': high})}, {len(units)} clips"
    )
    rarity = combination_interval(values, weights, _RARE * groups[2] - groups[1], units)
    rare = f"{rates[1]:.2f}/s against {rates[2]:.2f}/s of the real, {len(units)} clips"
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


def _has_number(clip: ClipScores, metric: str) -> bool:
    value = clip.values.get(metric, "")
    return not isinstance(value, str) and bool(np.isfinite(value))
