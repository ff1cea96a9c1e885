"""Many runs in one report: rows, paired differences, the paper's findings, and what is refused."""

import csv
import dataclasses
import io
import json
import re

import numpy as np
import pytest
import scipy.stats
from etils import epath

from data_pipelines.common.errors import UserError
from data_pipelines.media import writer
from s2f_jax.reports import table
from s2f_jax.reports.content import ClipScores, Sample
from s2f_jax.reports.scores import read_report, write_report
from s2f_jax.reports.summary import summarize
from tests.pages import outside_addresses

_SAID = {"size": "32x24 pixels", "lip_reader": "reader, step 10", "seed": 0}
_ROWS = ("model", "ground_truth", "frozen_still", "shuffled_audio")


def _clips(row, values, weights=None):
    """Two clips a speaker; values: metric -> a number or a reason of each clip."""
    count = len(next(iter(values.values())))
    return [
        ClipScores(
            row, f"c{i}", f"s{i // 2}", {m: of[i] for m, of in values.items()}, weights or {}
        )
        for i in range(count)
    ]


_COMMON = np.random.default_rng(0).normal(0, 2, 12)


def _evaluate(
    root, run, shift=0.0, said=_SAID, corpus="demo", split="test", blinks=1.0, clips=12, rows=_ROWS
):
    """A run whose PSNR lies by a constant over that of the others."""
    scores = []
    for row in rows:
        psnr = (27 + _COMMON + (shift if row == "model" else 5)).tolist()
        row_blinks = blinks if row == "model" else 1.0
        rates = (row_blinks * np.linspace(0.8, 1.2, 12)).tolist()
        jitter = (1.3 - 0.1 * shift + 0.01 * _COMMON).tolist()
        scores += _clips(
            row, {"psnr": psnr, "blinks_per_s": rates, "jitter": jitter}, {"blinks_per_s": 3.0}
        )
    scores = [clip for clip in scores if int(clip.clip[1:]) < clips]
    folder = epath.Path(root) / run / "evaluation" / split
    writer.write_video(folder / "samples" / "c0.mp4", np.full((3, 16, 24, 3), 90, np.uint8), 25)
    sample = Sample("c0: bin blue", "", folder / "samples" / "c0.mp4")
    write_report(folder, corpus, split, said, scores, [sample])
    (folder.parent.parent / "config.json").write_text("{}")
    (folder.parent.parent / "metrics.jsonl").write_text(
        '{"step": 10, "epoch": 1, "generator/reconstruction": 0.5}\n'
        '{"step": 20, "epoch": 1, "generator/reconstruction": null}\n{"step": 30, "epo'
    )
    return folder


@pytest.fixture
def runs(tmp_path):
    folders = {
        "l1_only": _evaluate(tmp_path, "l1_only", -1.0, blinks=0.01),
        "model": _evaluate(tmp_path, "model", 2.0),
        "static_baseline": _evaluate(tmp_path, "static_baseline", 0.0, blinks=0.02),
        # As `ablate` scores variants: the sanity rows are the model's alone.
        "no_noise": _evaluate(tmp_path, "no_noise", 1.0, rows=("model",)),
    }
    return folders | {
        "begun": tmp_path / "begun" / "evaluation" / "test",
        "absent": tmp_path / "absent" / "evaluation" / "test",
    }


@pytest.fixture
def written(runs, tmp_path):
    workdir = runs["begun"].parent.parent
    workdir.mkdir()
    (workdir / "config.json").write_text("{}")
    (workdir / "metrics.jsonl").write_text('{"step": 640, "epoch": 2}\n')
    found = table.write_table(tmp_path / "table", runs, with_sequence=["model", "no_noise"])
    return tmp_path / "table", found


def test_rows_are_in_the_order_of_the_table(written):
    assert list(written[1]["rows"]) == [
        "ground_truth", "frozen_still", "shuffled_audio", "static_baseline", "model", "l1_only",
        "no_noise",
    ]  # fmt: skip
    for cells in written[1]["rows"].values():
        assert all(cell["clips"] == 12 for cell in cells.values())


def test_a_constant_shift_is_found_exactly(written):
    differences = written[1]["differences"]
    assert "static_baseline" not in differences
    for row, shift in (("model", 2.0), ("l1_only", -1.0), ("no_noise", 1.0)):
        cell = differences[row]["psnr"]
        assert [cell[end] for end in ("mean", "low", "high")] == pytest.approx([shift] * 3)
        assert cell["clips"] == 12
        assert cell["better"] == (shift > 0)
    for name in ("report.md", "report.html"):
        assert "+2.00*" in (written[0] / name).read_text()


def test_variants_without_a_report_are_named(written):
    unfinished = written[1]["unfinished"]
    assert unfinished == {
        "begun": "trained for 640 steps so far, and not scored",
        "absent": "not begun",
    }
    for name in ("report.md", "report.html"):
        text = (written[0] / name).read_text()
        assert "Begun" in text and "not begun" in text


def test_the_findings_are_decided_by_the_intervals(written):
    found = {each["metric"]: each for each in written[1]["orderings"]}
    assert found["psnr"]["holds"] is True and "29." in found["psnr"]["numbers"]
    assert found["jitter"]["holds"] is True  # 1.1 against 1.3.
    assert "unknown" in found["wer"] and found["wer"]["holds"] is None
    more, never = (each for each in written[1]["orderings"] if each["metric"] == "blinks_per_s")
    assert more["holds"] is True and never["holds"] is True
    assert "1.00/s against 0.01/s" in more["numbers"]
    text = (written[0] / "report.md").read_text()
    assert "the model's PSNR is higher: holds (" in text
    assert "(WER): not measured: no WER in this evaluation" in text


def test_the_formats_agree(written):
    folder, found = written
    assert json.loads((folder / "report.json").read_text()) == found
    for line in csv.DictReader(io.StringIO((folder / "report.csv").read_text())):
        cell = found["differences"].get(line["row"], {}).get(line["metric"])
        number = float(line["difference"]) if line["difference"] else None
        assert number == (cell and cell["mean"])
        assert float(line["mean"]) == found["rows"][line["row"]][line["metric"]]["mean"]
    assert r"$^{*}$" in (folder / "report.tex").read_text()
    again = read_report(folder)
    assert summarize(again.scores) == found["rows"]


def test_the_page_stands_alone_with_its_plots_and_all_variants_of_a_clip(written):
    text = (written[0] / "report.html").read_text()
    assert outside_addresses(text) == []
    assert text.count("data:video/mp4;base64,") == 5  # The real one, and four runs.
    assert 'style="aspect-ratio: 12 / 16"' in text
    assert "generator: reconstruction" in text and text.count('class="curve') == 4
    assert not [svg for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL) if "nan" in svg]


@pytest.mark.parametrize(
    "change,told",
    [
        ({"corpus": "grid"}, "corpus is 'demo' in the first and 'grid' in the second"),
        ({"said": _SAID | {"size": "8x6"}}, "size is '32x24 pixels' in the first and '8x6'"),
        ({"said": _SAID | {"lip_reader": "reader, step 20"}}, "lip_reader is 'reader, step 10'"),
        ({"said": _SAID | {"embedder": "SFace"}}, "embedder is 'missing' in the first"),
        ({"clips": 10}, r"different clips \(12 and 10; c10 is in model alone"),
    ],
)
def test_runs_that_were_scored_otherwise_are_refused(tmp_path, runs, change, told):
    other = _evaluate(tmp_path, "other", **change)
    with pytest.raises(UserError, match=f"the runs model and other .*{told}"):
        table.write_table(tmp_path / "table", runs | {"other": other})
    assert not (tmp_path / "table").exists()


def test_another_split_is_refused(tmp_path, runs):
    other = _evaluate(tmp_path, "other", split="val")
    with pytest.raises(UserError, match="split is 'test' in the first and 'val'"):
        table.write_table(tmp_path / "table", runs | {"other": other})


def test_another_speaker_is_another_clip(tmp_path, runs):
    one = read_report(runs["no_noise"])
    scores = [dataclasses.replace(clip, speaker="x") for clip in one.scores]
    write_report(runs["no_noise"], one.corpus, one.split, one.conventions, scores, one.samples)
    with pytest.raises(UserError, match="no_noise .*different clips"):
        table.write_table(tmp_path / "table", runs)


def test_what_may_differ_between_runs_is_told_for_each(tmp_path):
    folders = {
        run: _evaluate(tmp_path, run, said=_SAID | {"checkpoint": f"step {step}"})
        for run, step in (("model", 10), ("l1_only", 20))
    }
    found = table.write_table(tmp_path / "table", folders)
    assert found["conventions"]["checkpoint"] == "model: step 10; l1_only: step 20"
    assert "differences" not in found
    assert found["orderings"][0]["unknown"] == "there is no row Static baseline"


def test_no_run_at_all_is_refused(tmp_path):
    with pytest.raises(UserError, match="none of the runs a, b has been scored"):
        table.write_table(
            tmp_path / "t", {run: tmp_path / run / "evaluation" / "test" for run in "ab"}
        )


def test_an_evaluation_of_videos_is_no_run(tmp_path, runs):
    write_report(tmp_path / "v", "demo", "test", _SAID, _clips("videos", {"psnr": [1.0] * 12}))
    with pytest.raises(UserError, match="evaluation of videos has no row 'model'"):
        table.write_table(tmp_path / "table", runs | {"videos": tmp_path / "v"})


def test_without_the_model_another_run_gives_the_sanity_rows(tmp_path, runs):
    del runs["model"]
    found = table.write_table(tmp_path / "table", runs)
    assert "of the run static_baseline" in found["conventions"]["rows"]
    assert list(found["rows"])[:4] == ["ground_truth", "frozen_still", "shuffled_audio", "static_baseline"]  # fmt: skip


def test_an_older_report_of_a_variant_whose_training_failed_counts_for_nothing(runs, tmp_path):
    found = table.write_table(tmp_path / "table", runs, failed=["l1_only"])
    assert "l1_only" not in found["rows"] and "no_noise" in found["rows"]
    assert found["unfinished"]["l1_only"] == "its training failed"


@pytest.fixture
def seeds(tmp_path):
    """A baseline and a model of three seeds each, whose PSNR differs by 2, and by 1 between seeds."""
    runs, rows = {}, {}
    for row, shift in (("static_baseline", 0.0), ("model", 2.0)):
        for seed in range(3):
            run = f"{row}_seed_{seed}" if seed else row
            only_model = ("model",) if run != "model" else _ROWS
            runs[run] = _evaluate(tmp_path, run, shift + seed - 1, rows=only_model)
            rows |= {run: row} if seed else {}
    return runs, rows


def test_seeds_of_a_variant_are_one_row_with_the_spread_between_them(seeds, tmp_path):
    runs, rows = seeds
    found = table.write_table(tmp_path / "table", runs, rows=rows, with_sequence=["model"])
    assert list(found["rows"]) == [
        "ground_truth", "frozen_still", "shuffled_audio", "static_baseline", "model",
    ]  # fmt: skip
    cell = found["rows"]["model"]["psnr"]
    assert cell["mean"] == pytest.approx(29 + _COMMON.mean())
    assert (cell["clips"], cell["seeds"], cell["seed_std"]) == (12, 3, pytest.approx(1))
    # The interval is over clips: that of a single one of the trainings, whose scores differ by constants.
    one = table.write_table(tmp_path / "one", {"model": runs["model"]})["rows"]["model"]["psnr"]
    assert cell["high"] - cell["low"] == pytest.approx(one["high"] - one["low"])
    assert "seed_std" not in found["rows"]["ground_truth"]["psnr"]
    text = (tmp_path / "table" / "report.md").read_text()
    assert "] ±1.00" in text and "±standard deviation between training seeds" in text
    assert "standard deviation of the seeds' means" in found["conventions"]["seeds"]


def test_a_difference_takes_in_the_spread_between_seeds(seeds, tmp_path):
    """The clips' differences do not vary: what is left is Welch's test of 28, 29, 30 and 26, 27, 28."""
    runs, rows = seeds
    found = table.write_table(tmp_path / "table", runs, rows=rows)
    cell = found["differences"]["model"]["psnr"]
    low, high = scipy.stats.ttest_ind([1, 2, 3], [-1, 0, 1], equal_var=False).confidence_interval()
    assert (cell["low"], cell["high"]) == pytest.approx((low, high))  # -0.27 to 4.27.
    assert cell["mean"] == pytest.approx(2) and cell["better"] is None
    assert cell["seeds"] == [3, 3] and cell["seed_error"] == pytest.approx((2 / 3) ** 0.5)
    verdict = next(each for each in found["orderings"] if each["metric"] == "psnr")
    assert verdict["holds"] is None and "3 and 3 seeds" in verdict["numbers"]
    # Of one seed each, the same difference is found.
    pair = {row: runs[row] for row in ("static_baseline", "model")}
    verdict = table.write_table(tmp_path / "pair", pair)["orderings"]
    assert next(each for each in verdict if each["metric"] == "psnr")["holds"] is True


def test_a_table_of_seeds_is_read_back_as_it_was_written(seeds, tmp_path):
    runs, rows = seeds
    found = table.write_table(tmp_path / "table", runs, rows=rows)
    again = read_report(tmp_path / "table")
    assert summarize(again.scores) == found["rows"]
    lines = list(csv.DictReader(io.StringIO((tmp_path / "table" / "report.csv").read_text())))
    spread = {(line["row"], line["metric"]): line["seed_std"] for line in lines}
    assert float(spread["model", "psnr"]) == found["rows"]["model"]["psnr"]["seed_std"]
    assert spread["ground_truth", "psnr"] == ""
    page = (tmp_path / "table" / "report.html").read_text()
    assert (
        page.count("data:video/mp4;base64,") == 3
    )  # The real one, and the first seed of each row.


def test_a_seed_that_failed_is_named_and_the_others_are_the_row(seeds, tmp_path):
    runs, rows = seeds
    found = table.write_table(tmp_path / "table", runs, rows=rows, failed=["model_seed_2"])
    assert found["unfinished"] == {"model_seed_2": "its training failed"}
    assert found["rows"]["model"]["psnr"]["seeds"] == 2
    without_first = table.write_table(tmp_path / "t", runs, rows=rows, failed=["static_baseline"])
    assert without_first["rows"]["static_baseline"]["psnr"]["seeds"] == 2
    assert without_first["differences"]["model"]["psnr"]["seeds"] == [3, 2]
