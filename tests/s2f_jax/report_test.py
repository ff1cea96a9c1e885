import csv
import io
import json
import re

import numpy as np
import pytest
from etils import epath

from data_pipelines import media
from s2f_jax import report
from s2f_jax.report import ClipScores


def _scores(row, metric, values, speakers=None):
    speakers = speakers or [f"s{i}" for i in range(len(values))]
    return [
        ClipScores(row, f"c{i}", speaker, {metric: value})
        for i, (value, speaker) in enumerate(zip(values, speakers, strict=True))
    ]


def test_means_and_counts_by_hand():
    cell = report.summarise(_scores("model", "ssim", [0.5, 0.7, "dark", 0.9, "dark", "short"]))
    found = cell["model"]["ssim"]
    assert found["mean"] == pytest.approx(0.7)
    assert 0.5 <= found["low"] < 0.7 < found["high"] <= 0.9
    assert found["clips"] == 3
    assert found["unscored"] == {"dark": 2, "short": 1}


def test_weights_make_a_rate_of_a_mean():
    """1 word of 2 wrong and 0 of 6: a word error rate of 1/8, not 1/4."""
    scores = [
        ClipScores("model", "a", "s", {"wer": 0.5, "ssim": 0.5}, {"wer": 2}),
        ClipScores("model", "b", "s", {"wer": 0.0, "ssim": 0.0}, {"wer": 6}),
    ]
    cells = report.summarise(scores)["model"]
    assert cells["wer"]["mean"] == pytest.approx(1 / 8)
    assert cells["ssim"]["mean"] == pytest.approx(1 / 4)


def test_infinite_and_missing_are_null():
    cells = report.summarise(
        _scores("model", "psnr", [20.0, np.inf]) + _scores("frozen_still", "psnr", ["why"])
    )
    nothing = {"mean": None, "low": None, "high": None}
    assert cells["model"]["psnr"] == {**nothing, "clips": 2, "unscored": {}}
    assert cells["frozen_still"]["psnr"] == {**nothing, "clips": 0, "unscored": {"why": 1}}


def test_one_clip_has_a_mean_and_no_interval():
    cell = report.summarise(_scores("model", "ssim", [0.5]))["model"]["ssim"]
    assert (cell["mean"], cell["low"], cell["high"]) == (0.5, None, None)


def test_a_score_that_is_not_a_number_is_a_bug():
    with pytest.raises(ValueError, match="ssim"):
        report.summarise(_scores("model", "ssim", [np.nan]))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Clips of a speaker are alike: an interval over clips alone would cover far less often."""
    rng = np.random.default_rng(0)
    speakers = [f"s{i}" for i in range(25) for _ in range(4)]
    covered, narrow = 0, 0
    for seed in range(60):
        values = np.repeat(rng.normal(0, 1, 25), 4) + rng.normal(0, 0.3, 100)
        low, high = report.bootstrap_interval(values, np.ones(100), speakers, seed)
        covered += low <= 0 <= high
        low, high = report.bootstrap_interval(values, np.ones(100), ["s"] * 100, seed)
        narrow += low <= 0 <= high
    assert covered >= 52
    assert narrow <= 50


def test_the_interval_depends_on_the_seed_alone():
    values, ones, speakers = np.arange(6.0), np.ones(6), list("aabbcc")
    assert report.bootstrap_interval(values, ones, speakers, 1) == report.bootstrap_interval(
        values, ones, speakers, 1
    )


@pytest.fixture
def written(tmp_path):
    media.write_video(tmp_path / "s.mp4", np.full((5, 16, 24, 3), 90, np.uint8), 25)
    scores = _scores("model", "psnr", [27.0, 28.0, "no <b>", 29.0])
    scores += _scores("ground_truth", "psnr", [np.inf] * 4)
    sample = report.Sample("c0 & co", "PSNR 27 dB", tmp_path / "s.mp4")
    folder = epath.Path(tmp_path / "evaluation")
    found = report.write(folder, "demo", "test", {"pixels": "uint8"}, scores, [sample])
    return folder, found


def test_report_json_is_the_contract(written):
    folder, found = written
    read = json.loads((folder / "report.json").read_text(), parse_constant=pytest.fail)
    assert read == found
    assert set(read) == {"corpus", "split", "conventions", "rows"}
    assert (read["corpus"], read["split"]) == ("demo", "test")
    assert read["conventions"]["pixels"] == "uint8"
    assert list(read["rows"]) == ["model", "ground_truth"]
    assert set(read["rows"]["model"]["psnr"]) == {"mean", "low", "high", "clips", "unscored"}
    assert "ssim" not in read["rows"]["model"]


def test_clips_csv_has_a_line_per_clip_and_row(written):
    lines = list(csv.DictReader(io.StringIO((written[0] / "clips.csv").read_text())))
    assert [line["row"] for line in lines] == ["model"] * 4 + ["ground_truth"] * 4
    assert [line["psnr"] for line in lines] == ["27", "28", "", "29"] + ["inf"] * 4
    assert lines[2]["unscored"] == "psnr: no <b>"


def test_the_tables_show_every_row(written):
    text = (written[0] / "report.md").read_text()
    assert re.search(r"\| Model \| 28\.00 \[2\d\.\d\d, 2\d\.\d\d\] \|", text)
    assert "| Ground truth | ∞ |" in text
    assert "no <b> (PSNR 1)" in text


def test_the_page_stands_alone(written):
    page = (written[0] / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)""", page)
    assert "://" not in page
    assert page.count("data:video/mp4;base64,") == 1
    assert "no &lt;b&gt;" in page and "c0 &amp; co" in page
    assert page.count("<circle") == 1  # The infinite row has a sign, and no place on the scale.
    assert page.count("28.00") >= 2


def test_nothing_is_left_beside_the_files(written):
    names = sorted(path.name for path in written[0].iterdir())
    assert names == ["clips.csv", "report.html", "report.json", "report.md"]


def test_every_metric_can_be_shown(tmp_path):
    scores = [
        ClipScores(row, str(i), "s", dict.fromkeys([*report.METRICS, "own"], float(i)))
        for row in ("model", "frozen_still")
        for i in range(3)
    ]
    report.write(tmp_path, "demo", "test", {}, scores)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<section") == len(report.METRICS) + 1
    assert "nan" not in page.lower().split("<style>")[1].split("</style>")[1]
