"""Line plots of a report's page, as SVG whose colors are those of the page, light or dark."""

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from s2f_jax.models.discriminators import SUFFIX
from s2f_jax.reports.content import ClipScores

WIDTH, HEIGHT = 360, 190  # Of a plot; about a card's width, so that all text has one size.
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 8, 30  # Margins.
_MAX_POINTS = 120  # Of a training curve: the means of as many spans of it.
_MAX_MOUTH_PLOTS = 4
# Rows whose mouths are plotted; more lines would hide each other.
_MOUTH_ROWS = ("model", "static_baseline", "videos")
_ON_TOP = ("static_baseline", "model", "ground_truth")  # Rows that are drawn last.
# Logged values that do not show learning.
_NOT_PLOTTED = ("gradient_norm", "learning_rate", "per_s", "percent", "memory_gb")


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve, in its row's color.

    Attributes:
      row: Key of the row.
      x: [n].
      y: [n], NaN in gaps.
    """

    row: str
    x: np.ndarray
    y: np.ndarray


@dataclasses.dataclass(frozen=True)
class Plot:
    """A card of the page.

    Attributes:
      title: Heading.
      x_label: Label of the x axis.
      svg: The drawing.
      rows: Rows that have a line in it.
    """

    title: str
    x_label: str
    svg: str
    rows: tuple[str, ...]


def draw_plot(
    title: str,
    x_label: str,
    lines: Sequence[Line],
    colors: Mapping[str, str],
    x_max: float | None = None,
) -> Plot:
    """Draws lines on common axes, the model, the baseline and the real one on top.

    Args:
      title: Heading.
      x_label: Label of the x axis.
      lines: One or more lines.
      colors: Row -> CSS class that colors it.
      x_max: If given, the x axis goes from 0 to this value.

    Returns:
      The plot.
    """
    x = np.concatenate([line.x for line in lines])
    if x_max is not None:
        x = np.array([0.0, x_max])
    y = np.concatenate([line.y for line in lines])
    y = y[np.isfinite(y)]
    x_ticks, y_ticks = ticks(x.min(), x.max(), 5), ticks(y.min(), y.max(), 4)
    # An axis of one value gets a width above 0, to divide by.
    x_low, x_high = x.min(), max(x.max(), x.min() + 1e-9)
    y_low, y_high = min(y.min(), y_ticks[0]), max(y.max(), y_ticks[-1], y_ticks[0] + 1e-9)
    bottom = HEIGHT - _BOTTOM

    def x_pixels(values: Any) -> Any:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (values - x_low) / (x_high - x_low)

    def y_pixels(values: Any) -> Any:
        return bottom - (bottom - _TOP) * (values - y_low) / (y_high - y_low)

    parts = []
    for tick in y_ticks:
        at = y_pixels(tick)
        parts.append(f'<path class="tick" d="M{_LEFT} {at:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="y" x="{_LEFT - 6}" y="{at + 3.5:.1f}">{_tick(tick)}</text>')
    for tick in x_ticks:
        at = x_pixels(tick)
        parts.append(f'<path class="tick" d="M{at:.1f} {bottom}v4"/>')
        parts.append(f'<text class="x" x="{at:.1f}" y="{bottom + 16}">{_tick(tick)}</text>')
    for line in sorted(lines, key=lambda line: line.row in _ON_TOP):
        data = _path(x_pixels(np.asarray(line.x, float)), y_pixels(np.asarray(line.y, float)))
        parts.append(f'<path class="curve {colors[line.row]}" d="{data}"/>')
    svg = f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'
    return Plot(title, x_label, svg, tuple(dict.fromkeys(line.row for line in lines)))


def ticks(low: float, high: float, count: int) -> list[float]:
    """Chooses round numbers as the ticks of an axis.

    Args:
      low: End of the axis.
      high: End of the axis.
      count: About so many.

    Returns:
      At least one, all in [low, high].
    """
    span = high - low
    if span <= 0:
        return [float(low)]
    rough = span / count
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= 0.999 * rough)
    first = np.ceil(low / step - 1e-9)
    values = [float(step * i) for i in np.arange(first, high / step + 1e-9)]
    return [0.0 if abs(tick) < step / 1e6 else tick for tick in values] or [float(low)]


def sync_plots(scores: Sequence[ClipScores], colors: Mapping[str, str]) -> list[Plot]:
    """Plots the mean distance of audio and lips over their offset, for every row.

    Args:
      scores: Scores of every clip in every row.
      colors: Row -> CSS class that colors it.

    Returns:
      One plot; none where no clip has the curve.
    """
    by_row = {}
    for clip in scores:
        if "sync_distance" in clip.curves:
            by_row.setdefault(clip.row, []).append(clip.curves["sync_distance"])
    lines = []
    for row, curves in by_row.items():
        mean = np.mean(curves, axis=0)
        lines.append(Line(row, np.arange(len(mean)) - len(mean) // 2, mean))
    return [draw_plot("Distance", "offset, frames", lines, colors)] if lines else []


def mouth_plots(scores: Sequence[ClipScores], colors: Mapping[str, str]) -> list[Plot]:
    """Plots the mouth's opening over time, generated and real, of clips of different speakers.

    Args:
      scores: Scores of every clip in every row.
      colors: Row -> CSS class that colors it.

    Returns:
      At most four plots.
    """
    by_clip = {}
    for clip in scores:
        has_curves = {"mouth_opening", "mouth_opening_real"} <= clip.curves.keys()
        if clip.row in _MOUTH_ROWS and has_curves:
            by_clip.setdefault(clip.clip, []).append(clip)
    speakers, plots = set(), []
    # Of the clips that have the most of these rows, the first of every speaker.
    most = max(map(len, by_clip.values()), default=0)
    for name, clips in by_clip.items():
        speaker = clips[0].speaker
        if speaker in speakers or len(clips) < most or len(plots) == _MAX_MOUTH_PLOTS:
            continue
        if speaker:
            speakers.add(speaker)
        curves = {"ground_truth": clips[0].curves["mouth_opening_real"]}
        curves |= {clip.row: clip.curves["mouth_opening"] for clip in clips}
        lines = [Line(row, np.arange(len(curve)), curve) for row, curve in curves.items()]
        plots.append(draw_plot(name, "frame", lines, colors))
    return plots


def training_plots(runs: Mapping[str, epath.PathLike], colors: Mapping[str, str]) -> list[Plot]:
    """Plots every loss term, accuracy and validation score over the steps of training.

    Args:
      runs: Row -> its run's metrics.jsonl.
      colors: Row -> CSS class that colors it.

    Returns:
      A plot for each term: validation first, then the generator, then the discriminators.
    """
    by_term = {}
    for row, path in runs.items():
        for term, (steps, values) in _logged_terms(path).items():
            by_term.setdefault(term, []).append(Line(row, *_thin_out(steps, values)))
    prefixes = ("validation/", "generator/reconstruction", "generator/")
    rank = {term: [not term.startswith(prefix) for prefix in prefixes] for term in by_term}
    last = max((line.x[-1] for lines in by_term.values() for line in lines), default=0)
    return [
        draw_plot(_term_title(term), "step", by_term[term], colors, last)
        for term in sorted(by_term, key=lambda term: (rank[term], term))
    ]


def read_log(path: epath.PathLike) -> list[dict[str, Any]]:
    """Reads a run's metrics.jsonl.

    Args:
      path: Path of the file.

    Returns:
      The events so far; none where there is no such file.
    """
    path = epath.Path(path)
    lines = path.read_text().splitlines() if path.exists() else []
    # A line without its end is being written.
    return [json.loads(line) for line in lines if line.rstrip().endswith("}")]


def _logged_terms(path: epath.PathLike) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Term -> steps and values, NaN where a value was not finite."""
    points = {}
    for event in read_log(path):
        for term, value in event.items():
            if "/" in term and not term.endswith(_NOT_PLOTTED):
                points.setdefault(term, []).append((event["step"], value))
    return {
        term: tuple(np.array(series, np.float64).T)
        for term, series in points.items()
        if any(value is not None for _, value in series)
    }


def _thin_out(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of at most _MAX_POINTS spans."""
    edges = np.linspace(0, len(steps), min(_MAX_POINTS, len(steps)) + 1).round().astype(int)
    spans = [slice(*edge) for edge in itertools.pairwise(edges.tolist())]
    means = [np.array([np.mean(series[span]) for span in spans]) for series in (steps, values)]
    return means[0], means[1]


def _term_title(term: str) -> str:
    network, name = term.split("/", 1)
    label = network.replace("_", " ")
    if network.endswith(SUFFIX):
        label = f"D_{network.removesuffix(SUFFIX)}"
    return f"{label}: {name.replace('_', ' ')}"


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """SVG path through the points, interrupted where y is not finite."""
    data, drawing = [], False
    for x_pixel, y_pixel in zip(x, y, strict=True):
        if np.isfinite(y_pixel):
            data.append(f"{'L' if drawing else 'M'}{x_pixel:.1f} {y_pixel:.1f}")
            if not drawing:
                data.append("h0")  # A single point is drawn as a dot.
        drawing = bool(np.isfinite(y_pixel))
    return "".join(data)


def _tick(value: float) -> str:
    """At most four digits, thousands as k."""
    if abs(value) >= 1000:
        return f"{value / 1000:.4g}k".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")
