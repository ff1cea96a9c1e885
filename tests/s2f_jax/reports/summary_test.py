"""Means of rows: what they are a sample of, and rows of several runs."""

import numpy as np
import pytest
import scipy.stats

from s2f_jax.reports.content import ClipScores
from s2f_jax.reports.summary import describe_means, sampling_units, shared_values, summarize


def _run(run, values, speaker="s1", metric="psnr"):
    return [
        ClipScores("model", f"c{i}", speaker, {metric: value}, run=run)
        for i, value in enumerate(values)
    ]


def test_of_one_speaker_the_clips_are_the_sample_and_the_report_says_so():
    values = np.random.default_rng(0).normal(27, 1, 9)
    clips = _run("", values.tolist())
    cell = summarize(clips)["model"]["psnr"]
    student = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (cell["low"], cell["high"]) == pytest.approx(student)
    assert sampling_units(clips) == {f"c{i}": f"c{i}" for i in range(9)}
    told = describe_means(clips)["interval"]
    assert "the clips of the one speaker: for other clips of the same, not for other people" in told
    assert "seeds" not in describe_means(clips)


def test_a_row_of_several_runs_by_hand():
    """Means 1, 2 and 6 of clips that all have: 3, of deviation sqrt((4 + 1 + 9) / 2)."""
    clips = _run("a", [0.0, 2.0, 7.0]) + _run("b", [2.0, 2.0, "dark"]) + _run("c", [7.0, 5.0, 1.0])
    cell = summarize(clips)["model"]["psnr"]
    assert cell["mean"] == pytest.approx(3) and cell["seed_std"] == pytest.approx(7**0.5)
    assert (cell["clips"], cell["unscored"], cell["seeds"]) == (2, {"dark": 1}, 3)
    # Over the clips' means, which are both 3.
    assert (cell["low"], cell["high"]) == pytest.approx((3, 3))


def test_the_interval_of_several_runs_ends_where_the_metric_does():
    clips = [c for run in "ab" for c in _run(run, [0.5, 0.9, 1.0], metric="ssim")]
    cell = summarize(clips)["model"]["ssim"]
    assert cell["high"] == 1 and cell["seed_std"] == 0


def test_runs_that_share_no_clip_have_no_mean():
    cell = summarize(_run("a", [1.0, "dark"]) + _run("b", ["dim", np.inf]))["model"]["psnr"]
    assert (cell["mean"], cell["low"], cell["seed_std"], cell["clips"]) == (None, None, None, 0)
    assert cell["unscored"] == {"dim": 1, "dark": 1}


def test_clips_of_different_order_are_matched_by_name():
    first, second = _run("a", [1.0, 2.0]), _run("b", [3.0, 4.0])[::-1]
    values, _, names = shared_values("psnr", [first, second])
    assert names == ["c0", "c1"]
    np.testing.assert_array_equal(values, [[1, 2], [3, 4]])
