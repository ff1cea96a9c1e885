"""Titles of metrics and rows in a report, and the format of its numbers."""

import collections
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from s2f_jax.metrics.registry import METRICS
from s2f_jax.metrics.scoring import Metric

Cell = Mapping[str, Any]  # Of report.json: one metric in one row.
Rows = Mapping[str, Mapping[str, Cell]]

_ARROWS = {"higher": "↑", "lower": "↓", "one": "→ 1", "": ""}
_ROW_TITLES = {  # Of the variants in configs/ablations; all others are the key without underscores.
    "l1_only": "L1 only",
    "no_discriminators": "No discriminators",
    "l1_whole_face": "L1 on the whole face",
    "frame_only": "L1 + frame discriminator",
    "sequence_only": "L1 + sequence discriminator",
    "with_sync": "Model + sync discriminator",
    "sequence_without_sound": "Sequence discriminator without audio",
    "frame_without_still": "Frame discriminator without still",
    "sequence_per_step": "Sequence discriminator per time step",
    "no_skips": "No skip connections",
    "lambda_quarter": "Reconstruction weight x 1/4",
    "lambda_fourfold": "Reconstruction weight x 4",
}


def metric_info(metric: str) -> Metric:
    """Looks up how a metric is shown.

    Args:
      metric: Key.

    Returns:
      Description of the metric; of an unknown metric one with the key as its title.
    """
    return METRICS.get(metric, Metric(metric, metric, decimals=3))


def ordered_metrics(rows: Mapping[str, Iterable[str]]) -> list[str]:
    """Orders the metrics of a table's columns.

    Args:
      rows: Row -> keys of its metrics.

    Returns:
      The keys that any row has, in the registry's order, unknown ones last.
    """
    keys = {metric for metrics in rows.values() for metric in metrics}
    return [metric for metric in METRICS if metric in keys] + sorted(keys - METRICS.keys())


def title(key: str) -> str:
    """Makes the title of a row, a metric or a convention.

    Args:
      key: Key of the metric in report.json.

    Returns:
      The title.
    """
    if key in METRICS:
        return METRICS[key].title
    words = key.replace("_", " ")
    return _ROW_TITLES.get(key, words[:1].upper() + words[1:])


def arrow(metric: str) -> str:
    """Tells which values of a metric are better, in one sign.

    Args:
      metric: Key.

    Returns:
      "↑", "↓", "→ 1" or "".
    """
    return _ARROWS[metric_info(metric).better]


def column_heading(metric: str) -> str:
    """Makes the heading of a metric's column.

    Args:
      metric: Key.

    Returns:
      Title, unit, and which way is better.
    """
    info = metric_info(metric)
    return " ".join(part for part in (info.title, info.unit, arrow(metric)) if part)


def format_number(metric: str, value: float | None, sign: bool = False) -> str:
    """Formats a value with the metric's decimals and a true minus sign.

    Args:
      metric: Key.
      value: None is an infinite mean.
      sign: Whether a positive value gets a plus sign.

    Returns:
      The text.
    """
    if value is None or np.isinf(value):
        return "∞"
    decimals = metric_info(metric).decimals
    text = f"{value:{'+' if sign else ''}.{decimals}f}"
    if not float(text):  # No sign of zero.
        text = f"{0:.{decimals}f}"
    return text.replace("-", "−")


def format_mean(metric: str, cell: Cell | None) -> str:
    """Formats the mean of a cell.

    Args:
      metric: Key.
      cell: None where the row lacks the metric.

    Returns:
      The mean; ∞ where it is infinite, – where nothing was scored.
    """
    if cell is None or not cell["clips"]:
        return "–"
    return format_number(metric, cell["mean"])


def format_interval(metric: str, cell: Cell | None) -> str:
    """Formats the interval of a cell.

    Args:
      metric: Key.
      cell: None where the row lacks the metric.

    Returns:
      "[low, high]", or "" where there is none; of a row of several seeds with the standard deviation
      between them, "[low, high] ±std".
    """
    parts = []
    if cell and cell["low"] is not None:
        low, high = (format_number(metric, cell[end]) for end in ("low", "high"))
        parts.append(f"[{low}, {high}]")
    if cell and cell.get("seed_std") is not None:
        parts.append(f"±{format_number(metric, cell['seed_std'])}")
    return " ".join(parts)


def has_seeds(rows: Rows) -> bool:
    """Tells whether any row was trained with several seeds.

    Args:
      rows: Rows of report.json.

    Returns:
      Whether cells have "seed_std".
    """
    return any("seed_std" in cell for cells in rows.values() for cell in cells.values())


def format_difference(metric: str, cell: Cell | None) -> str:
    """Formats the difference to the baseline.

    Args:
      metric: Key.
      cell: A cell of differences; None where the row lacks the metric.

    Returns:
      The difference with its sign, and * where its interval excludes 0; – where there is none.
    """
    if cell is None or cell["mean"] is None:
        return "–"
    return format_number(metric, cell["mean"], sign=True) + ("*" if excludes_zero(cell) else "")


def excludes_zero(cell: Cell | None) -> bool:
    """Tells whether the interval of a cell excludes 0.

    Args:
      cell: None where there is none.

    Returns:
      False where there is no interval.
    """
    return cell is not None and cell["low"] is not None and (cell["low"] > 0 or cell["high"] < 0)


def clip_counts(rows: Rows) -> list[tuple[str, int, str]]:
    """Summarizes how many clips each row has, and which could not be scored.

    Args:
      rows: Rows of report.json.

    Returns:
      Row, number of clips, and the reasons: "reason (all 1); reason (PSNR, SSIM 2)".
    """
    counts = []
    for row, cells in rows.items():
        total = max((c["clips"] + sum(c["unscored"].values()) for c in cells.values()), default=0)
        # Reason -> number of clips -> metrics that so many clips lack for this reason.
        reasons = collections.defaultdict(lambda: collections.defaultdict(list))
        for metric in ordered_metrics({row: cells}):
            for reason, count in cells[metric]["unscored"].items():
                reasons[reason][count].append(metric_info(metric).title)
        texts = []
        for reason, by_count in reasons.items():
            parts = [
                f"{'all' if len(titles) == len(cells) > 1 else ', '.join(titles)} {count}"
                for count, titles in by_count.items()
            ]
            texts.append(f"{reason} ({'; '.join(parts)})")
        counts.append((row, total, "; ".join(texts)))
    return counts
