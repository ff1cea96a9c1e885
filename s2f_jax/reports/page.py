"""A report as one HTML page that needs nothing from outside."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import av
import jinja2
from etils import epath

from s2f_jax.reports import formats, labels, plots

_MARGIN = 0.06  # Of a chart's width, at either side.
_SANITY_ROWS = ("ground_truth", "frozen_still", "shuffled_audio")
_OWN_COLOUR = {"ground_truth", "frozen_still", "shuffled_audio", "static_baseline", "model"}
_PALETTE = 12  # Colours for all others, in turn.


def render_page(
    report: Mapping[str, Any],
    scores: Sequence[Any],
    videos: Sequence[Mapping[str, Any]],
    figures: Sequence[Any],
    training: Mapping[str, epath.PathLike],
) -> str:
    """What report.json holds, every clip's scores, and pictures -> the page.

    videos: cards of sample_cards or side_by_side. training: row -> a run's metrics.jsonl.
    """
    rows, paper = report["rows"], report.get("paper", {})
    metrics = labels.ordered_metrics(rows)
    colours = color_classes([*rows, *report.get("unfinished", {}), *training])
    return (
        template_environment()
        .get_template("report.html")
        .render(
            report=report,
            name=labels.title,
            colours=colours,
            charts=[
                _chart(report, metric, colours) for metric in metrics if _scored(report, metric)
            ],
            heads=[labels.column_heading(metric) for metric in metrics],
            table=[_table_row(metrics, row, cells) for row, cells in rows.items()],
            paper=[
                (
                    row,
                    [labels.format_number(m, numbers[m]) if m in numbers else "" for m in metrics],
                )
                for row, numbers in paper.items()
            ],
            differences=[
                (row, [_difference(m, cells.get(m)) for m in metrics])
                for row, cells in report.get("differences", {}).items()
            ],
            orderings=[
                found | {"text": formats.verdict_text(found)}
                for found in report.get("orderings", [])
            ],
            plots=[
                _section("How the mouth opens", plots.mouth_plots(scores, colours)),
                _section(
                    "Sound and lips, one moved against the other", plots.sync_plots(scores, colours)
                ),
                _section("Training", plots.training_plots(training, colours)),
            ],
            clips=_clips(labels.clip_counts(rows)),
            counts=labels.clip_counts(rows),
            videos=videos,
            figures=[
                {"title": figure.title, "note": figure.note, "data": _base64(figure.path)}
                for figure in figures
            ],
        )
    )


def template_environment(*packages: str) -> jinja2.Environment:
    """For the templates of reports' pages, and of other packages whose pages look alike."""
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package) for package in ("s2f_jax.reports", *packages)]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def color_classes(rows: Iterable[str]) -> dict[str, str]:
    """Row -> the class of the page's style that colours it; of a variant by its place among them."""
    others = [row for row in dict.fromkeys(rows) if row not in _OWN_COLOUR]
    found = {row: f"c-{row}" for row in sorted(_OWN_COLOUR)}
    return found | {row: f"c-{i % _PALETTE}" for i, row in enumerate(others)}


def sample_cards(samples: Sequence[Any]) -> list[dict[str, Any]]:
    """Cards with a video each, generated and real next to each other in it."""
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
    """A card with one clip as several rows animate it; every video has the real one at its right.

    The page shows the left half of each, and of the first the right half too.
    """
    first = next(iter(videos.values()))
    with av.open(str(first), metadata_errors="replace") as container:
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


def _section(title: str, drawn: Sequence[plots.Plot]) -> dict[str, Any]:
    rows = dict.fromkeys(row for plot in drawn for row in plot.rows)
    return {"title": title, "plots": drawn, "rows": list(rows)}


def _clips(counts: Sequence[tuple[str, int, str]]) -> list[tuple[int, list[str]]]:
    """Each number of clips, and the rows that have so many."""
    found: dict[int, list[str]] = {}
    for row, count, _ in counts:
        found.setdefault(count, []).append(labels.title(row))
    return list(found.items())


def _table_row(metrics: Sequence[str], row: str, cells: Mapping[str, Any]) -> tuple[str, list]:
    return row, [
        (labels.format_mean(m, cells.get(m)), labels.format_interval(m, cells.get(m)))
        for m in metrics
    ]


def _difference(metric: str, cell: labels.Cell | None) -> tuple[str, str, str]:
    """Text, interval, and the class of better or worse."""
    found = {True: "better", False: "worse", None: ""}[cell["better"] if cell else None]
    return labels.format_difference(metric, cell), labels.format_interval(metric, cell), found


def _scored(report: Mapping[str, Any], metric: str) -> bool:
    """Whether any clip of any row is: a metric without its model would be a chart of nothing."""
    return any(cells[metric]["clips"] for cells in report["rows"].values() if metric in cells)


def _chart(report: Mapping[str, Any], metric: str, colours: Mapping[str, str]) -> dict[str, Any]:
    """A dot and its interval per row, as shares of the chart's width."""
    shown = labels.metric_info(metric)
    cells = {row: cells[metric] for row, cells in report["rows"].items() if metric in cells}
    baseline = cells.get(report.get("baseline", ""), {}).get("mean")
    published = {row: of[metric] for row, of in report.get("paper", {}).items() if metric in of}
    ends = [cell[end] for cell in cells.values() for end in ("mean", "low", "high")]
    ends = [end for end in ends if end is not None] + [*shown.anchors, *published.values()]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    span = high - low or 1.0

    def place(value: float | None) -> float | None:
        return None if value is None else 100 * (_MARGIN + (1 - 2 * _MARGIN) * (value - low) / span)

    return {
        "label": shown.label,
        "unit": shown.unit,
        "arrow": labels.arrow(metric),
        "what": shown.what,
        "anchors": [place(anchor) for anchor in shown.anchors],
        "baseline": place(baseline),
        "rows": [
            {
                "title": labels.title(row),
                "kind": "sanity"
                if row in _SANITY_ROWS
                else "row"
                if row in _OWN_COLOUR
                else "variant",
                "colour": colours[row],
                "text": labels.format_mean(metric, cell),
                "interval": labels.format_interval(metric, cell),
                "clips": cell["clips"],
                **{end: place(cell[end]) for end in ("mean", "low", "high")},
            }
            for row, cell in cells.items()
        ],
        "paper": [
            {
                "title": labels.title(row),
                "text": labels.format_number(metric, at),
                "mean": place(at),
            }
            for row, at in published.items()
        ],
    }
