"""Writes the scores of clips as the files of a report, and reads them back."""

import collections
import csv
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from data_pipelines.common.errors import UserError
from data_pipelines.common.files import write_atomically
from s2f_jax.metrics.scoring import Score
from s2f_jax.reports import formats, labels, page, paper
from s2f_jax.reports.content import ClipScores, Evaluation, Sample
from s2f_jax.reports.summary import describe_means, summarize

_WEIGHT = "weight "  # Prefix of a metric's weights in the heads of clips.csv.


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
        "conventions": {**evaluation.conventions, **describe_means(scores)},
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


def _check_counts(report: Mapping[str, Any], scores: Sequence[ClipScores]) -> None:
    """Raises ValueError unless report.json and clips.csv have equally many clips in every row."""
    counts = {row: count for row, count, _ in labels.clip_counts(report["rows"])}
    lines = collections.Counter((clip.row, clip.run) for clip in scores)
    if {row for row, _ in lines} != counts.keys() or any(
        count != counts[row] for (row, _), count in lines.items()
    ):
        raise ValueError("clips.csv has other clips than report.json")


def _media_entry(folder: epath.Path, media: Sample) -> dict[str, str]:
    file = epath.Path(media.path).relative_to(folder).as_posix()
    return {"title": media.title, "note": media.note, "file": file}


def _read_media(folder: epath.Path, entries: Sequence[Mapping[str, str]]) -> list[Sample]:
    return [Sample(entry["title"], entry["note"], folder / entry["file"]) for entry in entries]


def _clips_csv(scores: Sequence[ClipScores]) -> str:
    """A line per clip, row and run of it, with all digits; reasons are in the last column, as JSON."""
    metrics = labels.ordered_metrics({str(i): clip.values for i, clip in enumerate(scores)})
    weighted = [m for m in metrics if any(m in clip.weights for clip in scores)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    heads = [*metrics, *(_WEIGHT + metric for metric in weighted)]
    of_run = ["run"] if any(clip.run for clip in scores) else []
    writer.writerow(["row", *of_run, "clip", "speaker", *heads, "unscored"])
    for clip in scores:
        values = {m: value for m, value in clip.values.items() if not isinstance(value, str)}
        reasons = {m: value for m, value in clip.values.items() if isinstance(value, str)}
        numbers = [_format_float(values.get(metric)) for metric in metrics]
        numbers += [_format_float(clip.weights.get(metric)) for metric in weighted]
        unscored = json.dumps(reasons, ensure_ascii=False) if reasons else ""
        run = [clip.run] if of_run else []
        writer.writerow([clip.row, *run, clip.clip, clip.speaker, *numbers, unscored])
    return file.getvalue()


def _format_float(value: float | None) -> str:
    """The shortest digits that give the same float; "" for None."""
    return "" if value is None else repr(float(value)).removesuffix(".0")


def _read_clips(text: str, curves: Mapping[int, Mapping[str, np.ndarray]]) -> list[ClipScores]:
    scores = []
    for line, cells in enumerate(csv.DictReader(io.StringIO(text, newline=""))):
        row, clip, speaker = (cells.pop(head) for head in ("row", "clip", "speaker"))
        run = cells.pop("run", "")
        reasons = json.loads(cells.pop("unscored") or "{}")
        numbers = {head: float(cell) for head, cell in cells.items() if cell}
        weighted = [head for head in numbers if head.startswith(_WEIGHT)]
        weights = {head.removeprefix(_WEIGHT): numbers.pop(head) for head in weighted}
        own_curves = curves.get(line, {})
        values = numbers | reasons
        scores.append(ClipScores(row, clip, speaker, values, weights, own_curves, run))
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
