"""Scores of clips to report.json, report.md, report.html and clips.csv."""

import base64
import collections
import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from etils import epath

from data_pipelines.media import write_atomically

RESAMPLES = 1000  # Of the bootstrap.
_LEVEL = 95  # %, of the intervals.
_MARGIN = 0.06  # Of a chart's width, at either side.


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
_SANITY_ROWS = ("ground_truth", "frozen_still", "shuffled_audio")
_ARROWS = {"higher": "↑", "lower": "↓", "one": "→ 1", "": ""}


@dataclasses.dataclass(frozen=True)
class ClipScores:
    """What one clip scored in one row; a score is a float, or the reason why there is none."""

    row: str
    clip: str
    speaker: str
    values: Mapping[str, float | str]
    # Of a clip in its row's mean, where it is not 1: words for WER, seconds for blinks a second.
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Sample:
    """A video for the page."""

    title: str
    note: str
    path: epath.PathLike  # An mp4.


def summarise(scores: Iterable[ClipScores], seed: int = 0) -> dict[str, dict[str, dict[str, Any]]]:
    """Row -> metric -> mean, its interval, the clips that count and why the others do not."""
    rows = collections.defaultdict(lambda: collections.defaultdict(list))
    for of_clip in scores:
        for metric in of_clip.values:
            rows[of_clip.row][metric].append(of_clip)
    return {
        row: {metric: _cell(metric, clips, seed) for metric, clips in metrics.items()}
        for row, metrics in rows.items()
    }


def bootstrap_interval(
    values: np.ndarray, weights: np.ndarray, speakers: Sequence[str], seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of the weighted mean of one value per clip.

    Speakers are drawn with replacement, and of each drawn speaker its clips: clips of a speaker
    are alike, so that clips alone would give intervals that are too narrow.
    """
    rng = np.random.default_rng(seed)
    names, of_clips = np.unique(speakers, return_inverse=True)
    drawn = rng.integers(len(names), size=(RESAMPLES, len(names)))
    totals, norms = np.zeros(drawn.shape), np.zeros(drawn.shape)
    for speaker in range(len(names)):
        clips = np.flatnonzero(of_clips == speaker)
        at = drawn == speaker
        chosen = clips[rng.integers(len(clips), size=(np.count_nonzero(at), len(clips)))]
        totals[at] = (values * weights)[chosen].sum(axis=1)
        norms[at] = weights[chosen].sum(axis=1)
    means = totals.sum(axis=1) / norms.sum(axis=1)
    low, high = np.percentile(means, [(100 - _LEVEL) / 2, (100 + _LEVEL) / 2])
    return float(low), float(high)


def write(
    output: epath.PathLike,
    corpus: str,
    split: str,
    conventions: Mapping[str, Any],
    scores: Sequence[ClipScores],
    samples: Sequence[Sample] = (),
) -> dict[str, Any]:
    """Writes the four files into the folder `output`; returns what report.json holds."""
    interval = (
        f"{_LEVEL} %, bootstrap over speakers, then over each one's clips ({RESAMPLES} resamples)"
    )
    means = "of each clip first, then over clips, unweighted unless the metric is a rate"
    report = {
        "corpus": corpus,
        "split": split,
        "conventions": {**conventions, "mean": means, "interval": interval},
        "rows": summarise(scores),
    }
    folder = epath.Path(output)
    text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False)
    write_atomically(folder / "report.json", f"{text}\n".encode())
    write_atomically(folder / "report.md", markdown(report).encode())
    write_atomically(folder / "report.html", _html(report, samples).encode())
    write_atomically(folder / "clips.csv", _csv(scores).encode())
    return report


def markdown(report: Mapping[str, Any]) -> str:
    """The report as tables for people."""
    metrics = _columns(report["rows"])
    heads = [_head(metric) for metric in metrics]
    lines = [f"# {report['corpus']}, {report['split']}", ""]
    lines += [f"| row | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for row, cells in report["rows"].items():
        texts = [f"{_text(m, cells.get(m))} {_interval(m, cells.get(m))}" for m in metrics]
        texts = [text.strip() for text in texts]
        lines.append(f"| {_title(row)} | {' | '.join(texts)} |")
    lines += ["", "Mean [95 % interval]; ∞: the two are identical.", ""]
    lines += ["## Conventions", ""]
    lines += [f"- {_title(name)}: {text}" for name, text in report["conventions"].items()]
    lines += ["", "## Clips", ""]
    lines += [
        f"- {_title(row)}: {count}{'; ' if reasons else ''}{reasons}"
        for row, count, reasons in _counts(report["rows"])
    ]
    return "\n".join(lines) + "\n"


def caption(values: Mapping[str, float | str]) -> str:
    """One clip's scores in a line."""
    parts = []
    for metric, value in values.items():
        if not isinstance(value, str):
            shown = _shown(metric)
            number = f"{value:.{shown.digits}f}" if np.isfinite(value) else "∞"
            parts.append(f"{shown.label} {number} {shown.unit}".strip())
    return " · ".join(parts)


def _cell(metric: str, clips: Sequence[ClipScores], seed: int) -> dict[str, Any]:
    scored = [clip for clip in clips if not isinstance(clip.values[metric], str)]
    reasons = collections.Counter(
        reason for clip in clips if isinstance(reason := clip.values[metric], str)
    )
    values = np.array([clip.values[metric] for clip in scored], np.float64)
    if np.isnan(values).any():
        raise ValueError(f"{metric} of a clip is NaN: a score is a number, or says why not")
    weights = np.array([clip.weights.get(metric, 1.0) for clip in scored], np.float64)
    if not (weights > 0).all():
        raise ValueError(
            f"{metric} of a clip has no weight: such a clip is unscored, with a reason"
        )
    mean = low = high = None
    if scored and np.isfinite(values).all():
        mean = float((values * weights).sum() / weights.sum())
        if len(scored) > 1:  # One clip says nothing about another.
            speakers = [clip.speaker for clip in scored]
            low, high = bootstrap_interval(values, weights, speakers, seed)
    cell = {"mean": mean, "low": low, "high": high, "clips": len(scored)}
    return cell | {"unscored": dict(reasons.most_common())}


def _csv(scores: Sequence[ClipScores]) -> str:
    metrics = [*METRICS] + sorted({m for clip in scores for m in clip.values} - METRICS.keys())
    metrics = [metric for metric in metrics if any(metric in clip.values for clip in scores)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["row", "clip", "speaker", *metrics, "unscored"])
    for clip in scores:
        found = {name: value for name, value in clip.values.items() if not isinstance(value, str)}
        missing = [f"{m}: {value}" for m, value in clip.values.items() if isinstance(value, str)]
        numbers = [f"{found[m]:.6g}" if m in found else "" for m in metrics]
        writer.writerow([clip.row, clip.clip, clip.speaker, *numbers, "; ".join(missing)])
    return file.getvalue()


def _html(report: Mapping[str, Any], samples: Sequence[Sample]) -> str:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = resources.files("s2f_jax").joinpath("templates/report.html").read_text()
    rows = report["rows"]
    videos = [
        {
            "title": sample.title,
            "note": sample.note,
            "data": base64.b64encode(epath.Path(sample.path).read_bytes()).decode(),
        }
        for sample in samples
    ]
    metrics = _columns(rows)
    table = [
        (_title(row), [(_text(m, cells.get(m)), _interval(m, cells.get(m))) for m in metrics])
        for row, cells in rows.items()
    ]
    return environment.from_string(template).render(
        corpus=report["corpus"],
        split=report["split"],
        charts=[_chart(metric, rows) for metric in metrics],
        heads=[_head(metric) for metric in metrics],
        table=table,
        conventions={_title(name): text for name, text in report["conventions"].items()},
        counts=[(_title(row), count, reasons) for row, count, reasons in _counts(rows)],
        videos=videos,
    )


def _chart(metric: str, rows: Mapping[str, Any]) -> dict[str, Any]:
    """A dot and its interval per row, as shares of the chart's width."""
    shown = _shown(metric)
    cells = {row: metrics[metric] for row, metrics in rows.items() if metric in metrics}
    ends = [cell[end] for cell in cells.values() for end in ("mean", "low", "high")]
    ends = [end for end in ends if end is not None] + list(shown.anchors)
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    span = high - low or 1.0

    def place(value: float | None) -> float | None:
        return None if value is None else 100 * (_MARGIN + (1 - 2 * _MARGIN) * (value - low) / span)

    return {
        "label": shown.label,
        "unit": shown.unit,
        "arrow": _ARROWS[shown.better],
        "what": shown.what,
        "anchors": [place(anchor) for anchor in shown.anchors],
        "rows": [
            {
                "title": _title(row),
                "sanity": row in _SANITY_ROWS,
                "text": _text(metric, cell),
                "interval": _interval(metric, cell),
                "clips": cell["clips"],
                **{end: place(cell[end]) for end in ("mean", "low", "high")},
            }
            for row, cell in cells.items()
        ],
    }


def _columns(rows: Mapping[str, Any]) -> list[str]:
    """The metrics that any row has, in the order of METRICS."""
    found = {metric for metrics in rows.values() for metric in metrics}
    return [m for m in METRICS if m in found] + sorted(found - METRICS.keys())


def _counts(rows: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """Row, its clips, and what could not be scored: "PSNR 2 (reason)"."""
    counts = []
    for row, metrics in rows.items():
        cells = metrics.values()
        total = max((c["clips"] + sum(c["unscored"].values()) for c in cells), default=0)
        reasons = collections.defaultdict(list)
        for metric in _columns({row: metrics}):
            for reason, count in metrics[metric]["unscored"].items():
                reasons[reason].append(f"{_shown(metric).label} {count}")
        texts = [f"{reason} ({', '.join(of)})" for reason, of in reasons.items()]
        counts.append((row, total, "; ".join(texts)))
    return counts


def _head(metric: str) -> str:
    shown = _shown(metric)
    return " ".join(part for part in (shown.label, shown.unit, _ARROWS[shown.better]) if part)


def _text(metric: str, cell: Mapping[str, Any] | None) -> str:
    if cell is None or not cell["clips"]:
        return "–"
    return "∞" if cell["mean"] is None else f"{cell['mean']:.{_shown(metric).digits}f}"


def _interval(metric: str, cell: Mapping[str, Any] | None) -> str:
    if cell is None or cell["low"] is None:
        return ""
    digits = _shown(metric).digits
    return f"[{cell['low']:.{digits}f}, {cell['high']:.{digits}f}]"


def _shown(metric: str) -> Metric:
    return METRICS.get(metric, Metric(metric, "", "", 3))


def _title(key: str) -> str:
    return METRICS[key].label if key in METRICS else key.replace("_", " ").capitalize()
