"""Line plots for a report's page: SVG whose colours are the page's, light or dark."""

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from s2f_jax.models.discriminators import SUFFIX

WIDTH, HEIGHT = 360, 190  # Of a plot; a card is about as wide, so that its text has one size.
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 8, 30  # Around the lines.
_POINTS = 120  # Of a training curve; the means of as many spans of it.
_CLIPS = 4  # Whose mouths are shown.
_MOUTHS = (
    "model",
    "static_baseline",
    "videos",
)  # Rows whose mouths are shown; others would hide them.
_ENGINE = ("gradient_norm", "learning_rate", "per_s", "percent", "memory_gb")  # Not of learning.


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve; its colour is its row's."""

    row: str
    x: np.ndarray
    y: np.ndarray  # NaN where it has a gap.


@dataclasses.dataclass(frozen=True)
class Plot:
    """A card of the page."""

    title: str
    x_label: str
    svg: str
    rows: tuple[str, ...]


def draw_plot(
    title: str,
    x_label: str,
    lines: Sequence[Line],
    colours: Mapping[str, str],
    from_zero_to: float | None = None,
) -> Plot:
    """Lines on common axes, the rows that others are held against on top; colours: row -> the class that colours it.

    from_zero_to: the last x to show, where plots side by side have one axis.
    """
    x = np.concatenate([line.x for line in lines])
    if from_zero_to is not None:
        x = np.array([0.0, from_zero_to])
    y = np.concatenate([line.y for line in lines])
    y = y[np.isfinite(y)]
    x_ticks, y_ticks = ticks(x.min(), x.max(), 5), ticks(y.min(), y.max(), 4)
    x_low, x_high = x.min(), max(x.max(), x.min() + 1e-9)
    y_low, y_high = min(y.min(), y_ticks[0]), max(y.max(), y_ticks[-1], y_ticks[0] + 1e-9)

    def place(xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        across = _LEFT + (WIDTH - _LEFT - _RIGHT) * (xs - x_low) / (x_high - x_low)
        down = HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (ys - y_low) / (y_high - y_low)
        return across, down

    bottom = HEIGHT - _BOTTOM
    parts = []
    for tick in y_ticks:
        at = place(np.array([x_low]), np.array([tick]))[1][0]
        parts.append(f'<path class="tick" d="M{_LEFT} {at:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="y" x="{_LEFT - 6}" y="{at + 3.5:.1f}">{_plain(tick)}</text>')
    for tick in x_ticks:
        at = place(np.array([tick]), np.array([y_low]))[0][0]
        parts.append(f'<path class="tick" d="M{at:.1f} {bottom}v4"/>')
        parts.append(f'<text class="x" x="{at:.1f}" y="{bottom + 16}">{_plain(tick)}</text>')
    on_top = ("static_baseline", "model", "ground_truth")
    for line in sorted(lines, key=lambda line: line.row in on_top):
        data = _path(*place(np.asarray(line.x, float), np.asarray(line.y, float)))
        parts.append(f'<path class="curve {colours[line.row]}" d="{data}"/>')
    svg = f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'
    return Plot(title, x_label, svg, tuple(dict.fromkeys(line.row for line in lines)))


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers that lie from low to high, at least one."""
    span = high - low
    if span <= 0:
        return [float(low)]
    rough = span / count
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= 0.999 * rough)
    first = np.ceil(low / step - 1e-9)
    found = [float(step * i) for i in np.arange(first, high / step + 1e-9)]
    return [0.0 if abs(tick) < step / 1e6 else tick for tick in found] or [float(low)]


def sync_plots(scores: Sequence[Any], colours: Mapping[str, str]) -> list[Plot]:
    """The mean distance of sound and lips over their offset, for every row."""
    by_row = {}
    for clip in scores:
        if "sync_distance" in clip.curves:
            by_row.setdefault(clip.row, []).append(clip.curves["sync_distance"])
    lines = []
    for row, curves in by_row.items():
        mean = np.mean(curves, axis=0)
        lines.append(Line(row, np.arange(len(mean)) - len(mean) // 2, mean))
    return [draw_plot("Distance", "offset, frames", lines, colours)] if lines else []


def mouth_plots(scores: Sequence[Any], colours: Mapping[str, str]) -> list[Plot]:
    """The mouth's opening over time, generated and real, of a few clips of different speakers."""
    clips = {}
    for clip in scores:
        if clip.row in _MOUTHS and {"mouth_opening", "mouth_opening_real"} <= clip.curves.keys():
            clips.setdefault(clip.clip, []).append(clip)
    speakers, plots = set(), []
    # All that have the most of these rows; the first of every speaker.
    most = max((len(of_clip) for of_clip in clips.values()), default=0)
    for name, of_clip in clips.items():
        if of_clip[0].speaker in speakers or len(of_clip) < most or len(plots) == _CLIPS:
            continue
        if of_clip[0].speaker:
            speakers.add(of_clip[0].speaker)
        real = of_clip[0].curves["mouth_opening_real"]
        lines = [Line("ground_truth", np.arange(len(real)), real)]
        for clip in of_clip:
            opening = clip.curves["mouth_opening"]
            lines.append(Line(clip.row, np.arange(len(opening)), opening))
        plots.append(draw_plot(name, "frame", lines, colours))
    return plots


def training_plots(runs: Mapping[str, epath.PathLike], colours: Mapping[str, str]) -> list[Plot]:
    """Row -> its run's metrics.jsonl: every loss term, accuracy and validation score over steps."""
    by_term = {}
    for row, path in runs.items():
        for term, (steps, values) in _terms(path).items():
            by_term.setdefault(term, []).append(Line(row, *_thinned(steps, values)))
    # What is scored first, then the generator's own terms, then its opponents'.
    order = ("validation/", "generator/reconstruction", "generator/")
    place = {term: [not term.startswith(start) for start in order] for term in by_term}
    last = max((line.x[-1] for lines in by_term.values() for line in lines), default=0)
    return [
        draw_plot(_term(term), "step", by_term[term], colours, last)
        for term in sorted(by_term, key=lambda term: (place[term], term))
    ]


def read_log(path: epath.PathLike) -> list[dict[str, Any]]:
    """What a run has logged so far; none where there is no such file."""
    path = epath.Path(path)
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]  # Or it is being written.


def _terms(path: epath.PathLike) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Term -> steps and values, NaN where a value was not finite."""
    found = {}
    for event in read_log(path):
        for term, value in event.items():
            if "/" in term and not term.endswith(_ENGINE):
                found.setdefault(term, []).append((event["step"], value))
    return {
        term: tuple(np.array(values, np.float64).T)
        for term, values in found.items()
        if any(value is not None for _, value in values)
    }


def _thinned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of at most _POINTS spans."""
    edges = np.linspace(0, len(steps), min(_POINTS, len(steps)) + 1).round().astype(int)
    spans = [slice(*edge) for edge in itertools.pairwise(edges.tolist())]
    means = [np.array([np.mean(series[span]) for span in spans]) for series in (steps, values)]
    return means[0], means[1]


def _term(term: str) -> str:
    network, name = term.split("/", 1)
    label = network.replace("_", " ")
    if network.endswith(SUFFIX):
        label = f"D_{network.removesuffix(SUFFIX)}"
    return f"{label}: {name.replace('_', ' ')}"


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """A line through the points; it breaks where y is not finite."""
    data, drawing = [], False
    for across, down in zip(x, y, strict=True):
        if np.isfinite(down):
            data.append(f"{'L' if drawing else 'M'}{across:.1f} {down:.1f}")
            if not drawing:
                data.append("h0")  # A point alone is a dot.
        drawing = bool(np.isfinite(down))
    return "".join(data)


def _plain(value: float) -> str:
    """At most four digits, thousands as k."""
    if abs(value) >= 1000:
        return f"{value / 1000:.4g}k".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")
