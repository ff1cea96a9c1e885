"""A report as one HTML page that loads nothing from elsewhere."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jinja2
from etils import epath

from data_pipelines.media.containers import open_media
from s2f_jax.reports import formats, labels, plots
from s2f_jax.reports.content import ClipScores, Sample

_MARGIN = 0.06  # Of a chart's width, at either side.
_SANITY_ROWS = ("ground_truth", "frozen_still", "shuffled_audio")
_OWN_COLOR = (*_SANITY_ROWS, "static_baseline", "model")
_PALETTE_SIZE = 12  # Colors of all other rows, in turn.
_VERDICT_CLASSES = {True: "better", False: "worse", None: ""}


def render_page(
    report: Mapping[str, Any],
    scores: Sequence[ClipScores],
    video_cards: Sequence[Mapping[str, Any]],
    figures: Sequence[Sample],
    training: Mapping[str, epath.PathLike],
) -> str:
    """Renders a report as HTML.

    Args:
      report: Contents of report.json.
      scores: Scores of every clip in every row.
      video_cards: Cards made by `sample_cards` or `comparison_card`.
      figures: Images.
      training: Row -> its run's metrics.jsonl.

    Returns:
      The page.
    """
    rows, metrics = report["rows"], labels.ordered_metrics(report["rows"])
    colors = color_classes([*rows, *report.get("unfinished", {}), *training])
    counts = labels.clip_counts(rows)
    template = template_environment().get_template("report.html")
    return template.render(
        report=report,
        title=labels.title,
        colors=colors,
        charts=[_chart(report, metric, colors) for metric in metrics if _scored(report, metric)],
        headings=[labels.column_heading(metric) for metric in metrics],
        table=[
            (row, [_cell_texts(labels.format_mean, m, cells.get(m)) for m in metrics])
            for row, cells in rows.items()
        ],
        paper=list(formats.paper_rows(report, metrics).items()),
        differences=[
            (row, [_cell_texts(labels.format_difference, m, cells.get(m)) for m in metrics])
            for row, cells in report.get("differences", {}).items()
        ],
        claims=[
            {**claim, "text": formats.verdict_text(claim)} for claim in report.get("orderings", [])
        ],
        verdict_classes=_VERDICT_CLASSES,
        seeds=labels.has_seeds(rows),
        plot_sections=[
            _section("Mouth opening over time", plots.mouth_plots(scores, colors)),
            _section("Audio-visual distance over offset", plots.sync_plots(scores, colors)),
            _section("Training", plots.training_plots(training, colors)),
        ],
        clips=_rows_by_count(counts),
        counts=counts,
        video_cards=video_cards,
        figures=[
            {"title": figure.title, "note": figure.note, "data": _base64(figure.path)}
            for figure in figures
        ],
    )


def template_environment(*packages: str) -> jinja2.Environment:
    """Makes the environment of the report's templates.

    Args:
      *packages: Further packages with a folder `templates`, whose pages include the same style.

    Returns:
      The environment, which escapes HTML.
    """
    loaders = [jinja2.PackageLoader(package) for package in ("s2f_jax.reports", *packages)]
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )


def color_classes(rows: Iterable[str]) -> dict[str, str]:
    """Assigns the colors of the page's style to rows.

    Args:
      rows: Keys; variants get colors in this order.

    Returns:
      Row -> CSS class; the well-known rows are always in it.
    """
    variants = [row for row in dict.fromkeys(rows) if row not in _OWN_COLOR]
    classes = {row: f"c-{row}" for row in sorted(_OWN_COLOR)}
    return classes | {row: f"c-{i % _PALETTE_SIZE}" for i, row in enumerate(variants)}


def sample_cards(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Makes cards of one video each, which shows generated and real side by side.

    Args:
      samples: The videos.

    Returns:
      A card for each.
    """
    return [
        {
            "title": sample.title,
            "note": sample.note,
            "sides": [("generated", None), ("real", None)],
            "files": [_base64(sample.path)],
            "aspect": None,
        }
        for sample in samples
    ]


def comparison_card(title: str, note: str, videos: Mapping[str, epath.PathLike]) -> dict[str, Any]:
    """Makes a card of one clip in several rows.

    The page shows the left half of each video, and of the first the right half too.

    Args:
      title: Heading.
      note: Caption.
      videos: Row -> its sample, which has the real video on its right half.

    Returns:
      The card.
    """
    first = next(iter(videos.values()))
    with open_media(io.BytesIO(epath.Path(first).read_bytes())) as container:
        stream = container.streams.video[0]
        aspect = f"{stream.width // 2} / {stream.height}"
    return {
        "title": title,
        "note": note,
        "sides": [("real", "right"), *((labels.title(row), "left") for row in videos)],
        "files": [_base64(path) for path in (first, *videos.values())],
        "aspect": aspect,
    }


def _base64(path: epath.PathLike) -> str:
    return base64.b64encode(epath.Path(path).read_bytes()).decode()


def _section(title: str, section_plots: Sequence[plots.Plot]) -> dict[str, Any]:
    rows = dict.fromkeys(row for plot in section_plots for row in plot.rows)
    return {"title": title, "plots": section_plots, "rows": list(rows)}


def _rows_by_count(counts: Sequence[tuple[str, int, str]]) -> list[tuple[int, list[str]]]:
    """Each number of clips, and the titles of the rows that have so many."""
    titles: dict[int, list[str]] = {}
    for row, count, _ in counts:
        titles.setdefault(count, []).append(labels.title(row))
    return list(titles.items())


def _cell_texts(
    format_value: Callable[[str, labels.Cell | None], str], metric: str, cell: labels.Cell | None
) -> tuple[str, str, str]:
    """Text and interval of a table's cell, and its CSS class."""
    verdict = _VERDICT_CLASSES[cell.get("better") if cell else None]
    return format_value(metric, cell), labels.format_interval(metric, cell), verdict


def _scored(report: Mapping[str, Any], metric: str) -> bool:
    """Whether any clip has a number; without one the chart would be empty."""
    return any(cells[metric]["clips"] for cells in report["rows"].values() if metric in cells)


def _chart(report: Mapping[str, Any], metric: str, colors: Mapping[str, str]) -> dict[str, Any]:
    """A dot and its interval per row, as percentages of the chart's width."""
    info = labels.metric_info(metric)
    cells = {row: cells[metric] for row, cells in report["rows"].items() if metric in cells}
    baseline = cells.get(report.get("baseline", ""), {}).get("mean")
    paper = report.get("paper", {})
    published = {row: numbers[metric] for row, numbers in paper.items() if metric in numbers}
    ends = [cell[end] for cell in cells.values() for end in ("mean", "low", "high")]
    ends = [end for end in ends if end is not None] + [*info.anchors, *published.values()]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    span = high - low or 1.0

    def percent(value: float | None) -> float | None:
        return None if value is None else 100 * (_MARGIN + (1 - 2 * _MARGIN) * (value - low) / span)

    return {
        "title": info.title,
        "unit": info.unit,
        "arrow": labels.arrow(metric),
        "description": info.description,
        "anchors": [percent(anchor) for anchor in info.anchors],
        "baseline": percent(baseline),
        "rows": [
            {
                "title": labels.title(row),
                "kind": _row_kind(row),
                "color": colors[row],
                "text": labels.format_mean(metric, cell),
                "interval": labels.format_interval(metric, cell),
                "clips": cell["clips"],
                **{end: percent(cell[end]) for end in ("mean", "low", "high")},
            }
            for row, cell in cells.items()
        ],
        "paper": [
            {
                "title": labels.title(row),
                "text": labels.format_number(metric, value),
                "mean": percent(value),
            }
            for row, value in published.items()
        ],
    }


def _row_kind(row: str) -> str:
    """CSS class of a row in a chart."""
    if row in _SANITY_ROWS:
        return "sanity"
    return "row" if row in _OWN_COLOR else "variant"
