"""What the plots of a report's page show."""

import re

import numpy as np
import pytest

from s2f_jax.reports import page, plots
from s2f_jax.reports.content import ClipScores


def _points(svg, row_class):
    """The points of one curve, in the plot's own units."""
    path = re.search(rf'<path class="curve {row_class}" d="([^"]*)"', svg).group(1)
    return np.array([p.split() for p in re.split("h0|[ML]", path) if p], float)


@pytest.mark.parametrize(
    "low,high,count,found",
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (-15, 15, 5, [-10, 0, 10]),
        (0.012, 0.048, 4, [0.02, 0.03, 0.04]),
        (3, 3, 4, [3]),
        (0, 1920, 5, [0, 500, 1000, 1500]),
    ],
)
def test_ticks_are_round_and_inside(low, high, count, found):
    assert plots.ticks(low, high, count) == pytest.approx(found)


@pytest.mark.parametrize("seed", range(20))
def test_ticks_of_any_range(seed):
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.normal(0, 10.0 ** rng.integers(-6, 6), 2))
    found = plots.ticks(low, high, 4)
    assert 1 <= len(found) <= 6
    slack = 1e-6 * (high - low)
    assert low - slack <= found[0] and found[-1] <= high + slack
    assert np.allclose(np.diff(found, 2), 0, atol=slack)


def test_curves_are_drawn_to_scale():
    colours = page.color_classes(["model", "other"])
    x = np.arange(5.0)
    plot = plots.draw_plot(
        "t", "x", [plots.Line("other", x, 1 - x / 4), plots.Line("model", x, x / 4)], colours
    )
    ours, others = _points(plot.svg, "c-model"), _points(plot.svg, "c-0")
    assert np.allclose(np.diff(ours[:, 0]), np.diff(ours[:, 0])[0], atol=0.11)
    assert (np.diff(ours[:, 1]) < 0).all() and (np.diff(others[:, 1]) > 0).all()  # Up is less.
    assert ours[0, 1] == others[-1, 1] and ours[-1, 1] == others[0, 1]
    assert (ours >= 0).all() and (ours <= [plots.WIDTH, plots.HEIGHT]).all()
    assert plot.svg.index("c-0") < plot.svg.index("c-model")  # The model lies on top.


def test_a_value_that_was_not_finite_is_a_gap(tmp_path):
    lines = [f'{{"step": {s}, "epoch": 1, "generator/l": {v}}}' for s, v in
             ((1, 1.0), (2, 2.0), (3, "null"), (4, 1.5))]  # fmt: skip
    (tmp_path / "m.jsonl").write_text("\n".join(lines) + "\n")
    (plot,) = plots.training_plots({"model": tmp_path / "m.jsonl"}, page.color_classes(["model"]))
    path = re.search(r'class="curve c-model" d="([^"]*)"', plot.svg).group(1)
    assert path.count("M") == 2 and path.count("L") == 1


def test_a_log_is_read_up_to_what_is_being_written(tmp_path):
    file = tmp_path / "metrics.jsonl"
    assert plots.read_log(file) == []
    file.write_text('{"step": 1}\n\n{"step": 2}\n{"step": 3, "l')
    assert [event["step"] for event in plots.read_log(file)] == [1, 2]
    file.write_text('{"step": 1}\n{"step": 2}')
    assert [event["step"] for event in plots.read_log(file)] == [1, 2]


def test_training_shows_terms_of_learning_alone_and_long_runs_thinned(tmp_path):
    with (tmp_path / "m.jsonl").open("w") as file:
        for step in range(1000):
            file.write(
                f'{{"step": {step}, "epoch": 1, "generator/reconstruction": {step}.0,'
                ' "generator/gradient_norm": 1.0, "clips_per_s": 3.0,'
                ' "frame_discriminator/accuracy_real": 0.5, "validation/psnr": 20.0}\n'
            )
    found = plots.training_plots({"model": tmp_path / "m.jsonl"}, page.color_classes(["model"]))
    assert [plot.title for plot in found] == [
        "validation: psnr", "generator: reconstruction", "D_frame: accuracy real",
    ]  # fmt: skip
    points = _points(found[1].svg, "c-model")
    assert len(points) == 120
    slopes = np.diff(points[:, 1]) / np.diff(points[:, 0])  # A line stays a line.
    assert np.allclose(slopes, slopes.mean(), rtol=0.1)


def test_distances_over_offsets_are_means_over_clips():
    rng = np.random.default_rng(0)
    curves = rng.uniform(5, 9, (4, 31))
    scores = [
        ClipScores("model", f"c{i}", "s", {}, {}, {"sync_distance": curve})
        for i, curve in enumerate(curves)
    ]
    (plot,) = plots.sync_plots(scores, page.color_classes(["model"]))
    mean = curves.mean(axis=0)
    points = _points(plot.svg, "c-model")
    assert len(points) == 31
    assert np.argmin(points[:, 1]) == np.argmax(mean)
    assert np.corrcoef(points[:, 1], mean)[0, 1] == pytest.approx(-1, abs=1e-4)
    assert plots.sync_plots([], {}) == []


def test_mouths_are_those_of_different_speakers_with_the_real_one():
    real, ours = np.linspace(0, 1, 9), np.linspace(0, 0.5, 9)
    scores = [
        ClipScores(row, f"c{i}", f"s{i // 2}", {}, {},
                   {"mouth_opening": ours, "mouth_opening_real": real})
        for row in ("model", "static_baseline", "no_noise")
        for i in range(12)
    ]  # fmt: skip
    colours = page.color_classes(["model", "no_noise"])
    found = plots.mouth_plots(scores, colours)
    assert [plot.title for plot in found] == ["c0", "c2", "c4", "c6"]
    assert found[0].rows == ("ground_truth", "model", "static_baseline")
    assert _points(found[0].svg, "c-model")[-1, 1] > _points(found[0].svg, "c-ground_truth")[-1, 1]
    assert plots.mouth_plots([], colours) == []
