"""Writes the scores of clips as the files of a report, and reads them back."""

import collections
import csv
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
from s2f_jax.reports.content import ClipScores, Evaluation, Sample
from s2f_jax.reports.intervals import LEVEL, mean_interval

_WEIGHT = "weight "  # Prefix of a metric's weights in the heads of clips.csv.
_MEAN = "of each clip first, then over clips, unweighted unless the metric is a rate"


def summarize(scores: Iterable[ClipScores]) -> dict[str, dict[str, dict[str, Any]]]:
    """Averages the scores of each row and metric.

    Args:
      scores: Scores of every clip in every row.

    Returns:
      Row -> metric -> "mean" (None where it is infinite), "low" and "high" end of its interval
      (None where the clips are of one speaker of several, or one clip), number of "clips" with a
      score, and reason -> number of those "unscored".
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
    """Writes the report of an evaluation.

    Args:
      output: Folder.
      corpus: Name.
      split: Name.
      conventions: Measuring conventions of the report.
      scores: Scores of every clip in every row.
      samples: Videos in `output`.
      figures: Images in `output`.
      training: Row -> the metrics.jsonl of the run behind it.

    Returns:
      The contents of report.json.
    """
    evaluation = Evaluation(corpus, split, conventions, scores, samples, figures)
    cards = page.sample_cards(samples)
    return write_files(output, evaluation, training or {}, cards, figures, {})


def write_files(
    output: epath.PathLike,
    evaluation: Evaluation,
    training: Mapping[str, epath.PathLike],
    video_cards: Sequence[Mapping[str, Any]],
    page_figures: Sequence[Sample],
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """Writes the files of a report.

    Args:
      output: Folder.
      evaluation: The content.
      training: Row -> the metrics.jsonl of the run behind it.
      video_cards: Cards for the page, made by page.sample_cards or page.comparison_card.
      page_figures: Images for the page, in any folder.
      extra: Further entries of report.json.

    Returns:
      The contents of report.json.
    """
    folder, scores = epath.Path(output), evaluation.scores
    report = {
        "corpus": evaluation.corpus,
        "split": evaluation.split,
        "conventions": {**evaluation.conventions, **_common_conventions(scores)},
        "rows": summarize(scores),
        **extra,
    }
    for key, media in (("samples", evaluation.samples), ("figures", evaluation.figures)):
        if media:
            report[key] = [_media_entry(folder, sample) for sample in media]
    if published := paper.published(evaluation.corpus, evaluation.split):
        report["paper"] = published
        report["conventions"]["paper"] = paper.NOTE
    text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False)
    html = page.render_page(report, scores, video_cards, page_figures, training)
    write_atomically(folder / "clips.csv", _clips_csv(scores).encode())
    write_atomically(folder / "curves.npz", _curves_npz(scores))
    write_atomically(folder / "report.csv", formats.table_csv(report).encode())
    write_atomically(folder / "report.tex", formats.latex(report).encode())
    write_atomically(folder / "report.md", formats.markdown(report).encode())
    write_atomically(folder / "report.html", html.encode())
    # Last: where it exists, all others are complete.
    write_atomically(folder / "report.json", f"{text}\n".encode())
    return report


def read_report(folder: epath.PathLike) -> Evaluation:
    """Reads what a report was written from.

    Args:
      folder: Folder of the report.

    Returns:
      The content.

    Raises:
      UserError: There is no report, or it is damaged.
    """
    folder = epath.Path(folder)
    if not (folder / "report.json").exists():
        raise UserError(f"{folder} holds no evaluation (it has no report.json): run `evaluate`")
    try:
        report = json.loads((folder / "report.json").read_text())
        added = {"mean", "interval", *({"paper"} & report.keys())}
        curves = _read_curves((folder / "curves.npz").read_bytes())
        scores = _read_clips((folder / "clips.csv").read_text(), curves)
        _check_counts(report, scores)
        return Evaluation(
            report["corpus"],
            report["split"],
            {key: text for key, text in report["conventions"].items() if key not in added},
            scores,
            _read_media(folder, report.get("samples", [])),
            _read_media(folder, report.get("figures", [])),
        )
    except (OSError, ValueError, LookupError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"the evaluation in {folder} is damaged ({type(error).__name__}, {error}): run"
            " `evaluate` again"
        ) from error


def file_name(name: str) -> str:
    """Makes a file name from a clip's name.

    Args:
      name: May have characters that are special in paths and addresses.

    Returns:
      The name with an underscore for each of them.
    """
    return re.sub(r"[^\w.-]", "_", name)


def caption(values: Mapping[str, Score]) -> str:
    """Formats one clip's scores as a line.

    Args:
      values: Metric key -> number or reason; reasons are left out.

    Returns:
      "PSNR 27.10 dB · SSIM 0.840".
    """
    parts = []
    for metric, value in values.items():
        if not isinstance(value, str):
            info = labels.metric_info(metric)
            parts.append(f"{info.title} {labels.format_number(metric, value)} {info.unit}".strip())
    return " · ".join(parts)


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


def sampling_units(scores: Iterable[ClipScores]) -> dict[str, str]:
    """Decides of what an evaluation is a sample: of speakers, or of the clips of its only one.

    Args:
      scores: Scores of every clip, also of those without a number.

    Returns:
      Clip -> its speaker; where all clips have the same, or all are unknown, the clip itself.
    """
    speakers = {clip.clip: clip.speaker for clip in scores}
    return speakers if len(set(speakers.values())) > 1 else {clip: clip for clip in speakers}


def _common_conventions(scores: Iterable[ClipScores]) -> dict[str, str]:
    """How means and intervals were made, which differs with the speakers."""
    speakers = {clip.speaker for clip in scores}
    if len(speakers) > 1:
        sample = f"speakers ({len(speakers)})"
    elif speakers == {""}:
        sample = "clips, since their speakers are unknown: too narrow where they share one"
    else:
        sample = "the clips of the one speaker: for other clips of the same, not for other people"
    return {"mean": _MEAN, "interval": f"{LEVEL} %, Student's t over {sample}"}


def _cell(metric: str, clips: Sequence[ClipScores], units: Mapping[str, str]) -> dict[str, Any]:
    values, weights, names = scored_values(clips, metric)
    scores = (clip.values[metric] for clip in clips)
    reasons = collections.Counter(score for score in scores if isinstance(score, str))
    mean = low = high = None
    if len(values) and np.isfinite(values).all():
        mean = float((values * weights).sum() / weights.sum())
        if interval := mean_interval(values, weights, [units[name] for name in names]):
            least, most = labels.metric_info(metric).bounds
            low, high = np.clip(interval, min(least, mean), max(most, mean)).tolist()
    cell = {"mean": mean, "low": low, "high": high, "clips": len(values)}
    return cell | {"unscored": dict(reasons.most_common())}


def _check_counts(report: Mapping[str, Any], scores: Sequence[ClipScores]) -> None:
    """Raises ValueError unless report.json and clips.csv have equally many clips in every row."""
    lines = collections.Counter(clip.row for clip in scores)
    if lines != {row: count for row, count, _ in labels.clip_counts(report["rows"])}:
        raise ValueError("clips.csv has other clips than report.json")


def _media_entry(folder: epath.Path, media: Sample) -> dict[str, str]:
    file = epath.Path(media.path).relative_to(folder).as_posix()
    return {"title": media.title, "note": media.note, "file": file}


def _read_media(folder: epath.Path, entries: Sequence[Mapping[str, str]]) -> list[Sample]:
    return [Sample(entry["title"], entry["note"], folder / entry["file"]) for entry in entries]


def _clips_csv(scores: Sequence[ClipScores]) -> str:
    """A line per clip and row, with all digits; reasons are in the last column, as JSON."""
    metrics = labels.ordered_metrics({str(i): clip.values for i, clip in enumerate(scores)})
    weighted = [m for m in metrics if any(m in clip.weights for clip in scores)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    heads = [*metrics, *(_WEIGHT + metric for metric in weighted)]
    writer.writerow(["row", "clip", "speaker", *heads, "unscored"])
    for clip in scores:
        values = {m: value for m, value in clip.values.items() if not isinstance(value, str)}
        reasons = {m: value for m, value in clip.values.items() if isinstance(value, str)}
        numbers = [_format_float(values.get(metric)) for metric in metrics]
        numbers += [_format_float(clip.weights.get(metric)) for metric in weighted]
        unscored = json.dumps(reasons, ensure_ascii=False) if reasons else ""
        writer.writerow([clip.row, clip.clip, clip.speaker, *numbers, unscored])
    return file.getvalue()


def _format_float(value: float | None) -> str:
    """The shortest digits that give the same float; "" for None."""
    return "" if value is None else repr(float(value)).removesuffix(".0")


def _read_clips(text: str, curves: Mapping[int, Mapping[str, np.ndarray]]) -> list[ClipScores]:
    scores = []
    for line, cells in enumerate(csv.DictReader(io.StringIO(text, newline=""))):
        row, clip, speaker = (cells.pop(head) for head in ("row", "clip", "speaker"))
        reasons = json.loads(cells.pop("unscored") or "{}")
        numbers = {head: float(cell) for head, cell in cells.items() if cell}
        weighted = [head for head in numbers if head.startswith(_WEIGHT)]
        weights = {head.removeprefix(_WEIGHT): numbers.pop(head) for head in weighted}
        own_curves = curves.get(line, {})
        scores.append(ClipScores(row, clip, speaker, numbers | reasons, weights, own_curves))
    return scores


def _curves_npz(scores: Sequence[ClipScores]) -> bytes:
    """Each curve of all clips end to end, with their lengths and their lines in clips.csv."""
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
    curves = collections.defaultdict(dict)
    with np.load(io.BytesIO(data)) as arrays:
        for name in [key.removesuffix("/values") for key in arrays if key.endswith("/values")]:
            values, lengths, lines = (arrays[f"{name}/{p}"] for p in ("values", "lengths", "lines"))
            parts = np.split(values, np.cumsum(lengths)[:-1])
            for line, part in zip(lines.tolist(), parts, strict=True):
                curves[line][name] = part
    return curves
