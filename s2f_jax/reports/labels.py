"""How the metrics and rows of a report are called, and its numbers written."""

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Cell = Mapping[str, Any]  # Of report.json: one metric in one row.
Rows = Mapping[str, Mapping[str, Cell]]


@dataclasses.dataclass(frozen=True)
class Metric:
    """How one key of the report is shown."""

    label: str
    what: str  # One line for people.
    better: str  # "higher", "lower", "one" or "" where there is no better.
    digits: int = 2
    unit: str = ""
    anchors: tuple[float, ...] = ()  # Values that its chart has to show.


METRICS = {
    "psnr": Metric("PSNR", "over all pixels of a clip", "higher", 2, "dB"),
    "psnr_mouth": Metric("PSNR mouth", "over the mouth box alone", "higher", 2, "dB"),
    "ssim": Metric("SSIM", "structural similarity of the frames", "higher", 3, anchors=(1,)),
    "cpbd": Metric("CPBD", "sharpness by blur that is just noticeable", "higher", 3),
    "fdbm": Metric("FDBM", "sharpness in the frequency domain", "higher", 3),
    "acd_l2": Metric("ACD", "distance of the face's embedding to the still's", "lower", 3),
    "acd_mse": Metric("ACD squared", "the same per dimension, squared", "lower", 6),
    "acd_cos": Metric("ACD cosine", "the same as 1 - cosine", "lower", 3),
    "wer": Metric("WER", "words that a lip reader gets wrong", "lower", 3, anchors=(0,)),
    "cer": Metric("CER", "letters that a lip reader gets wrong", "lower", 3, anchors=(0,)),
    "sync_offset": Metric("Sync offset", "of the sound against the lips", "", 2, "frames", (0,)),
    "sync_distance": Metric("Sync distance", "of sound and lips", "lower"),
    "offset_0": Metric("Offset 0", "share of the clips, exactly", "higher", 3, anchors=(0, 1)),
    "offset_within_1": Metric(
        "Offset to a frame", "share of the clips", "higher", 3, anchors=(0, 1)
    ),
    "shift_found": Metric(
        "Shifts found", "sound moved by -5 to 5 frames", "higher", 3, anchors=(0, 1)
    ),
    "sync_confidence": Metric("Sync confidence", "of sound and lips", "higher"),
    "lmd": Metric("LMD", "distance of the mouth's landmarks", "lower", 2, "px"),
    "blinks_per_s": Metric("Blinks", "people blink 0.28 to 0.43 times a second", "", 2, "/s"),
    "blink_s": Metric("Blink length", "mean duration", "", 2, "s"),
    "mouth_correlation": Metric(
        "Mouth correlation", "of its opening with the real one's", "higher", anchors=(0, 1)
    ),
    "mouth_loudness": Metric(
        "Mouth loudness",
        "correlation of its opening with the sound's level",
        "higher",
        anchors=(0,),
    ),
    "mouth_energy": Metric(
        "Mouth energy", "how far it moves, generated / real", "one", anchors=(0, 1)
    ),
    "silence_motion": Metric(
        "Motion in silence", "of the mouth, generated / real", "one", anchors=(0, 1)
    ),
    "jitter": Metric("Jitter", "of the landmarks, generated / real", "one", anchors=(1,)),
}
_ARROWS = {"higher": "↑", "lower": "↓", "one": "→ 1", "": ""}


def metric_info(metric: str) -> Metric:
    return METRICS.get(metric, Metric(metric, "", "", 3))


def ordered_metrics(rows: Mapping[str, Iterable[str]]) -> list[str]:
    """The metrics that any row has, in the order of METRICS, unknown ones last."""
    found = {metric for metrics in rows.values() for metric in metrics}
    return [m for m in METRICS if m in found] + sorted(found - METRICS.keys())


def title(key: str) -> str:
    """Of a row, a metric or a convention."""
    if key in METRICS:
        return METRICS[key].label
    words = key.replace("_", " ")
    return words[:1].upper() + words[1:]


def arrow(metric: str) -> str:
    """Which way is better."""
    return _ARROWS[metric_info(metric).better]


def column_heading(metric: str) -> str:
    """Of a column: name, unit, and which way is better."""
    return " ".join(
        part
        for part in (metric_info(metric).label, metric_info(metric).unit, arrow(metric))
        if part
    )


def format_number(metric: str, value: float | None, sign: bool = False) -> str:
    """With the metric's digits and a true minus; None is an infinite mean."""
    if value is None or np.isinf(value):
        return "∞"
    digits = metric_info(metric).digits
    format_mean = f"{value:{'+' if sign else ''}.{digits}f}"
    if not float(format_mean):  # No sign of zero.
        format_mean = f"{0:.{digits}f}"
    return format_mean.replace("-", "−")


def format_mean(metric: str, cell: Cell | None) -> str:
    """The mean; ∞ where it is infinite, – where nothing was scored."""
    if cell is None or not cell["clips"]:
        return "–"
    return format_number(metric, cell["mean"])


def format_interval(metric: str, cell: Cell | None) -> str:
    """[low, high], or nothing where there is none."""
    if cell is None or cell["low"] is None:
        return ""
    return f"[{format_number(metric, cell['low'])}, {format_number(metric, cell['high'])}]"


def format_difference(metric: str, cell: Cell | None) -> str:
    """Difference to the baseline; with * where its interval excludes 0."""
    if cell is None or cell["mean"] is None:
        return "–"
    return format_number(metric, cell["mean"], sign=True) + ("*" if excludes_zero(cell) else "")


def excludes_zero(cell: Cell | None) -> bool:
    """Of an interval, where there is one."""
    return cell is not None and cell["low"] is not None and (cell["low"] > 0 or cell["high"] < 0)


def clip_counts(rows: Rows) -> list[tuple[str, int, str]]:
    """Row, its clips, and what could not be scored: "reason (all 1); reason (PSNR, SSIM 2)"."""
    found = []
    for row, metrics in rows.items():
        cells = metrics.values()
        total = max((c["clips"] + sum(c["unscored"].values()) for c in cells), default=0)
        reasons = collections.defaultdict(lambda: collections.defaultdict(list))
        for metric in ordered_metrics({row: metrics}):
            for reason, count in metrics[metric]["unscored"].items():
                reasons[reason][count].append(metric_info(metric).label)
        texts = []
        for reason, by_count in reasons.items():
            parts = [
                f"{'all' if len(of) == len(metrics) > 1 else ', '.join(of)} {count}"
                for count, of in by_count.items()
            ]
            texts.append(f"{reason} ({'; '.join(parts)})")
        found.append((row, total, "; ".join(texts)))
    return found
