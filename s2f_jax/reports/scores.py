"""Scores of clips to the files of a report, and back."""

import collections
import csv
import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from data_pipelines.common.errors import UserError
from data_pipelines.common.files import write_atomically
from s2f_jax.metrics.scoring import Score
from s2f_jax.reports import formats, labels, page, paper
from s2f_jax.reports.intervals import LEVEL, RESAMPLES, bootstrap_interval

_WEIGHT = "weight "  # Before a metric, the head of its weights' column in clips.csv.
_STATED = {  # Conventions that every report has.
    "mean": "of each clip first, then over clips, unweighted unless the metric is a rate",
    "interval": f"{LEVEL} %, bootstrap over speakers, then over each one's clips"
    f" ({RESAMPLES} resamples)",
}


@dataclasses.dataclass(frozen=True)
class ClipScores:
    """What one clip scored in one row; a score is a float, or the reason why there is none."""

    row: str
    clip: str
    speaker: str
    values: Mapping[str, Score]
    # Of a clip in its row's mean, where it is not 1: words for WER, seconds for blinks a second.
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    # For the plots, as in metrics.scoring.Scores; kept as float32.
    curves: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Sample:
    """A video for the page, generated beside real, or a picture; in the report's folder."""

    title: str
    note: str
    path: epath.PathLike  # An mp4, or of a figure a PNG.


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `write` is given, and `read` gives back."""

    corpus: str
    split: str
    conventions: Mapping[str, Any]
    scores: Sequence[ClipScores]
    samples: Sequence[Sample] = ()
    figures: Sequence[Sample] = ()


def summarize(scores: Iterable[ClipScores], seed: int = 0) -> dict[str, dict[str, dict[str, Any]]]:
    """Row -> metric -> mean, its interval, the clips that count and why the others do not."""
    rows = collections.defaultdict(lambda: collections.defaultdict(list))
    for of_clip in scores:
        for metric in of_clip.values:
            rows[of_clip.row][metric].append(of_clip)
    return {
        row: {m: _cell(m, metrics[m], seed) for m in labels.ordered_metrics({row: metrics})}
        for row, metrics in rows.items()
    }


def write_report(
    output: epath.PathLike,
    corpus: str,
    split: str,
    conventions: Mapping[str, Any],
    scores: Sequence[ClipScores],
    samples: Sequence[Sample] = (),
    figures: Sequence[Sample] = (),
    training: Mapping[str, epath.PathLike] | None = None,
) -> dict[str, Any]:
    """Writes the report's files into the folder `output`; returns what report.json holds.

    samples and figures: files in `output`. training: row -> the metrics.jsonl of the run behind it.
    """
    evaluation = Evaluation(corpus, split, conventions, scores, samples, figures)
    cards = page.sample_cards(samples)
    return write_files(output, evaluation, training or {}, cards, figures, {})


def write_files(
    output: epath.PathLike,
    evaluation: Evaluation,
    training: Mapping[str, epath.PathLike],
    videos: Sequence[Mapping[str, Any]],
    pictures: Sequence[Sample],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """As `write`; videos: cards for the page; pictures: for the page, from anywhere; more: further
    parts of report.json."""
    folder, scores = epath.Path(output), evaluation.scores
    report = {
        "corpus": evaluation.corpus,
        "split": evaluation.split,
        "conventions": {**evaluation.conventions, **_STATED},
        "rows": summarize(scores),
        **more,
    }
    for name, media in (("samples", evaluation.samples), ("figures", evaluation.figures)):
        if media:
            report[name] = [_entry(folder, each) for each in media]
    if published := paper.published(evaluation.corpus, evaluation.split):
        report["paper"] = published
        report["conventions"]["paper"] = paper.NOTE
    text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False)
    html = page.render_page(report, scores, videos, pictures, training)
    write_atomically(folder / "clips.csv", _clips_csv(scores).encode())
    write_atomically(folder / "curves.npz", _curves_npz(scores))
    write_atomically(folder / "report.csv", formats.table_csv(report).encode())
    write_atomically(folder / "report.tex", formats.latex(report).encode())
    write_atomically(folder / "report.md", markdown(report).encode())
    write_atomically(folder / "report.html", html.encode())
    # Last, since who finds it takes the others to be there.
    write_atomically(folder / "report.json", f"{text}\n".encode())
    return report


def read_report(folder: epath.PathLike) -> Evaluation:
    """What a report was written from.

    Raises:
      UserError: there is none, or it is damaged.
    """
    folder = epath.Path(folder)
    if not (folder / "report.json").exists():
        raise UserError(f"{folder} holds no evaluation (it has no report.json): run `evaluate`")
    try:
        report = json.loads((folder / "report.json").read_text())
        known = {name for name in _STATED} | ({"paper"} if "paper" in report else set())
        curves = _read_curves((folder / "curves.npz").read_bytes())
        scores = _read_clips((folder / "clips.csv").read_text(), curves)
        lines = collections.Counter(clip.row for clip in scores)
        if lines != {row: count for row, count, _ in labels.clip_counts(report["rows"])}:
            raise ValueError("clips.csv has other clips than report.json")
        return Evaluation(
            report["corpus"],
            report["split"],
            {name: said for name, said in report["conventions"].items() if name not in known},
            scores,
            _read_media(folder, report.get("samples", [])),
            _read_media(folder, report.get("figures", [])),
        )
    except (OSError, ValueError, LookupError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"the evaluation in {folder} is damaged ({type(error).__name__}, {error}): run"
            " `evaluate` again"
        ) from error


def markdown(report: Mapping[str, Any]) -> str:
    """What report.json holds, as tables for people."""
    return formats.markdown(report)


def file_name(name: str) -> str:
    """A clip's name without the signs that folders and addresses take for their own."""
    return re.sub(r"[^\w.-]", "_", name)


def caption(values: Mapping[str, Score]) -> str:
    """One clip's scores in a line."""
    parts = [
        f"{labels.metric_info(metric).label} {labels.format_number(metric, value)} {labels.metric_info(metric).unit}"
        for metric, value in values.items()
        if not isinstance(value, str)
    ]
    return " · ".join(part.strip() for part in parts)


def scored_values(
    clips: Sequence[ClipScores], metric: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Of the clips that have a number in a metric: values and weights [n], and speakers."""
    scored = [clip for clip in clips if not isinstance(clip.values.get(metric, ""), str)]
    values = np.array([clip.values[metric] for clip in scored], np.float64)
    if np.isnan(values).any():
        raise ValueError(f"{metric} of a clip is NaN: a score is a number, or says why not")
    weights = np.array([clip.weights.get(metric, 1.0) for clip in scored], np.float64)
    if not (weights > 0).all():
        raise ValueError(
            f"{metric} of a clip has no weight: such a clip is unscored, with a reason"
        )
    return values, weights, [clip.speaker for clip in scored]


def _cell(metric: str, clips: Sequence[ClipScores], seed: int) -> dict[str, Any]:
    values, weights, speakers = scored_values(clips, metric)
    reasons = collections.Counter(
        reason for clip in clips if isinstance(reason := clip.values[metric], str)
    )
    mean = low = high = None
    if len(values) and np.isfinite(values).all():
        mean = float((values * weights).sum() / weights.sum())
        if len(values) > 1:  # One clip says nothing about another.
            low, high = bootstrap_interval(values, weights, speakers, seed)
    cell = {"mean": mean, "low": low, "high": high, "clips": len(values)}
    return cell | {"unscored": dict(reasons.most_common())}


def _entry(folder: epath.Path, media: Sample) -> dict[str, str]:
    file = epath.Path(media.path).relative_to(folder).as_posix()
    return {"title": media.title, "note": media.note, "file": file}


def _read_media(folder: epath.Path, entries: Sequence[Mapping[str, str]]) -> list[Sample]:
    return [Sample(each["title"], each["note"], folder / each["file"]) for each in entries]


def _clips_csv(scores: Sequence[ClipScores]) -> str:
    """A line per clip and row. Numbers in full; what has no number is in the last column, as JSON."""
    metrics = labels.ordered_metrics({str(i): clip.values for i, clip in enumerate(scores)})
    weighted = [m for m in metrics if any(m in clip.weights for clip in scores)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    heads = [*metrics, *(_WEIGHT + metric for metric in weighted)]
    writer.writerow(["row", "clip", "speaker", *heads, "unscored"])
    for clip in scores:
        found = {m: value for m, value in clip.values.items() if not isinstance(value, str)}
        missing = {m: value for m, value in clip.values.items() if isinstance(value, str)}
        numbers = [_written(found.get(metric)) for metric in metrics]
        numbers += [_written(clip.weights.get(metric)) for metric in weighted]
        unscored = json.dumps(missing, ensure_ascii=False) if missing else ""
        writer.writerow([clip.row, clip.clip, clip.speaker, *numbers, unscored])
    return file.getvalue()


def _written(value: float | None) -> str:
    """The shortest digits that give the same float."""
    return "" if value is None else repr(float(value)).removesuffix(".0")


def _read_clips(text: str, curves: Mapping[int, Mapping[str, np.ndarray]]) -> list[ClipScores]:
    scores = []
    for line, cells in enumerate(csv.DictReader(io.StringIO(text, newline=""))):
        row, clip, speaker = (cells.pop(head) for head in ("row", "clip", "speaker"))
        missing = json.loads(cells.pop("unscored") or "{}")
        numbers = {head: float(cell) for head, cell in cells.items() if cell}
        weights = {
            head.removeprefix(_WEIGHT): numbers.pop(head)
            for head in [*numbers]
            if head.startswith(_WEIGHT)
        }
        scores.append(
            ClipScores(row, clip, speaker, numbers | missing, weights, curves.get(line, {}))
        )
    return scores


def _curves_npz(scores: Sequence[ClipScores]) -> bytes:
    """Each curve of all clips end to end, with the clips' lines in clips.csv and the lengths."""
    arrays = {}
    for name in sorted({name for clip in scores for name in clip.curves}):
        lines = [line for line, clip in enumerate(scores) if name in clip.curves]
        curves = [np.asarray(scores[line].curves[name], np.float32) for line in lines]
        arrays[f"{name}/values"] = np.concatenate(curves)
        arrays[f"{name}/lengths"] = np.array([len(curve) for curve in curves], np.int64)
        arrays[f"{name}/lines"] = np.array(lines, np.int64)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _read_curves(data: bytes) -> dict[int, dict[str, np.ndarray]]:
    """Line of clips.csv -> the clip's curves."""
    found = collections.defaultdict(dict)
    with np.load(io.BytesIO(data)) as arrays:
        for name in [key.removesuffix("/values") for key in arrays if key.endswith("/values")]:
            values, lengths, lines = (arrays[f"{name}/{p}"] for p in ("values", "lengths", "lines"))
            parts = np.split(values, np.cumsum(lengths)[:-1])
            for line, part in zip(lines.tolist(), parts, strict=True):
                found[line][name] = part
    return found
