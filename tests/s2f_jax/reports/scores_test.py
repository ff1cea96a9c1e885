import csv
import io
import json
import re

import numpy as np
import pytest
from etils import epath

from data_pipelines.common.errors import UserError
from data_pipelines.media import images, writer
from s2f_jax.metrics.registry import METRICS
from s2f_jax.reports import formats, labels
from s2f_jax.reports.content import ClipScores, Sample
from s2f_jax.reports.scores import read_report, write_report
from s2f_jax.reports.summary import summarize
from tests.pages import outside_addresses


def _scores(row, metric, values, speakers=None):
    speakers = speakers or [f"s{i}" for i in range(len(values))]
    return [
        ClipScores(row, f"c{i}", speaker, {metric: value})
        for i, (value, speaker) in enumerate(zip(values, speakers, strict=True))
    ]


def test_means_and_counts_by_hand():
    cell = summarize(_scores("model", "ssim", [0.5, 0.7, "dark", 0.9, "dark", "short"]))
    found = cell["model"]["ssim"]
    assert found["mean"] == pytest.approx(0.7)
    # Student's t of three speakers: 4.3027 standard errors of 0.2 / sqrt(3); SSIM ends at 1.
    assert found["low"] == pytest.approx(0.7 - 4.3027 * 0.2 / 3**0.5, abs=1e-5)
    assert found["high"] == 1
    assert found["clips"] == 3
    assert found["unscored"] == {"dark": 2, "short": 1}


def test_weights_make_a_rate_of_a_mean():
    """1 word of 2 wrong and 0 of 6: a word error rate of 1/8, not 1/4."""
    scores = [
        ClipScores("model", "a", "s", {"wer": 0.5, "ssim": 0.5}, {"wer": 2}),
        ClipScores("model", "b", "s", {"wer": 0.0, "ssim": 0.0}, {"wer": 6}),
    ]
    cells = summarize(scores)["model"]
    assert cells["wer"]["mean"] == pytest.approx(1 / 8)
    assert cells["ssim"]["mean"] == pytest.approx(1 / 4)


def test_infinite_and_missing_are_null():
    cells = summarize(
        _scores("model", "psnr", [20.0, np.inf]) + _scores("frozen_still", "psnr", ["why"])
    )
    nothing = {"mean": None, "low": None, "high": None}
    assert cells["model"]["psnr"] == {**nothing, "clips": 2, "unscored": {}}
    assert cells["frozen_still"]["psnr"] == {**nothing, "clips": 0, "unscored": {"why": 1}}


def test_one_clip_has_a_mean_and_no_interval():
    cell = summarize(_scores("model", "ssim", [0.5]))["model"]["ssim"]
    assert (cell["mean"], cell["low"], cell["high"]) == (0.5, None, None)


@pytest.mark.parametrize("speaker", ["", "alone"])
def test_the_clips_of_one_speaker_have_an_interval_of_their_own(speaker, tmp_path):
    """Over clips, which the report says: Student's t of 1, 2, 3 is 2 -+ 4.3027 / sqrt(3)."""
    found = write_report(tmp_path, "own", "test", {}, _scores("model", "psnr", [1.0, 2.0, 3.0], [speaker] * 3))  # fmt: skip
    cell = found["rows"]["model"]["psnr"]
    assert [cell["low"], cell["high"]] == pytest.approx([2 - 2.48414, 2 + 2.48414], abs=1e-4)
    unknown = "clips, since their speakers are unknown"
    assert (unknown if not speaker else "the clips of the one speaker") in found["conventions"]["interval"]  # fmt: skip


def test_of_several_speakers_one_alone_has_no_interval(tmp_path):
    """Two of the three clips are of one speaker, and the other's has no blink."""
    scores = _scores("model", "blink_s", [0.2, 0.3, "no blink"], ["a", "a", "b"])
    found = write_report(tmp_path, "own", "test", {}, scores)
    assert found["rows"]["model"]["blink_s"]["low"] is None
    assert found["conventions"]["interval"] == "95 %, Student's t over speakers (2)"


def test_a_score_that_is_not_a_number_is_a_bug():
    with pytest.raises(ValueError, match="ssim"):
        summarize(_scores("model", "ssim", [np.nan]))


def _sample(folder, name="s.mp4"):
    writer.write_video(folder / "samples" / name, np.full((5, 16, 24, 3), 90, np.uint8), 25)
    return Sample("c0 & co", "PSNR 27 dB", folder / "samples" / name)


def _figure(folder):
    path = folder / "figures" / "f.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(images.encode_png(np.full((8, 8, 3), 90, np.uint8)))
    return Sample("One <sound>", "on faces", path)


@pytest.fixture
def written(tmp_path):
    folder = epath.Path(tmp_path / "evaluation")
    scores = _scores("model", "psnr", [27.0, 28.0, "no <b>", 29.0])
    scores += _scores("ground_truth", "psnr", [np.inf] * 4)
    found = write_report(
        folder, "demo", "test", {"pixels": "uint8"}, scores, [_sample(folder)], [_figure(folder)]
    )
    return folder, found


def test_report_json_is_the_contract(written):
    folder, found = written
    read = json.loads((folder / "report.json").read_text(), parse_constant=pytest.fail)
    assert read == found
    assert set(read) == {"corpus", "split", "conventions", "rows", "samples", "figures"}
    assert (read["corpus"], read["split"]) == ("demo", "test")
    assert read["conventions"]["pixels"] == "uint8"
    assert list(read["rows"]) == ["model", "ground_truth"]
    assert set(read["rows"]["model"]["psnr"]) == {"mean", "low", "high", "clips", "unscored"}
    assert "ssim" not in read["rows"]["model"]


def test_clips_csv_has_a_line_per_clip_and_row(written):
    lines = list(csv.DictReader(io.StringIO((written[0] / "clips.csv").read_text())))
    assert [line["row"] for line in lines] == ["model"] * 4 + ["ground_truth"] * 4
    assert [line["psnr"] for line in lines] == ["27", "28", "", "29"] + ["inf"] * 4
    assert json.loads(lines[2]["unscored"]) == {"psnr": "no <b>"}


def test_the_tables_show_every_row(written):
    text = (written[0] / "report.md").read_text()
    assert "| Model | 28.00 [25.52, 30.48] |" in text  # 4.3027 / sqrt(3) to either side.
    assert "| Ground truth | ∞ |" in text
    assert "no <b> (PSNR 1)" in text


def test_the_page_stands_alone(written):
    page_text = (written[0] / "report.html").read_text()
    assert outside_addresses(page_text) == []
    assert page_text.count("data:video/mp4;base64,") == 1
    assert page_text.count("data:image/png;base64,") == 1
    assert "no &lt;b&gt;" in page_text and "c0 &amp; co" in page_text
    assert "One &lt;sound&gt;" in page_text
    assert page_text.count("<circle") == 1  # An infinite row has a sign, and no place on the scale.
    assert page_text.count("28.00") >= 2


@pytest.mark.parametrize(
    "outside",
    [
        '<img src="https://example.org/a.png">',
        "<a href='page.html'>",
        "div { background: url(picture.png) }",
        'fetch("wss://example.org")',
    ],
)
def test_an_outside_address_would_be_found(outside):
    assert outside_addresses(f"<p>{outside}</p>")


def test_nothing_is_left_beside_the_files(written):
    names = sorted(path.name for path in written[0].iterdir())
    assert names == [
        "clips.csv", "curves.npz", "figures", "report.csv", "report.html", "report.json",
        "report.md", "report.tex", "samples",
    ]  # fmt: skip


def test_every_metric_can_be_shown(tmp_path):
    scores = [
        ClipScores(row, str(i), "s", dict.fromkeys([*METRICS, "own"], float(i)))
        for row in ("model", "frozen_still")
        for i in range(3)
    ]
    write_report(tmp_path, "demo", "test", {}, scores)
    text = (tmp_path / "report.html").read_text()
    assert text.count("<section") == len(METRICS) + 1
    assert "nan" not in text.lower().split("<style>")[1].split("</style>")[1]


def _drawn(rng, rows, clips):
    """Scores of every kind: numbers of any size, infinities, reasons with odd signs, weights, curves."""
    reasons = ["short", 'a "quoted", one; psnr: too', "two\nlines", "größer als 64 – nein"]
    metrics = [*METRICS, "own"]
    found = []
    for row in rows:
        for i in range(clips):
            values = {}
            for metric in rng.permutation(metrics).tolist():
                kind = rng.random()
                if kind < 0.6:
                    values[metric] = float(rng.normal() * 10.0 ** rng.integers(-9, 9))
                elif kind < 0.65:
                    values[metric] = float("inf")
                elif kind < 0.9:
                    values[metric] = reasons[rng.integers(4)]
            weights = {m: float(rng.uniform(0.1, 9)) for m in values if rng.random() < 0.3}
            curves = {
                "mouth_opening": rng.normal(0, 1, rng.integers(0, 9)),
                "blinks": rng.integers(0, 99, (rng.integers(0, 3), 3)),
                "sync_distance": rng.normal(0, 1, 31),
            }
            curves = {name: curve for name, curve in curves.items() if rng.random() < 0.7}
            clip = ClipScores(row, f"c/{i}, {i}", f"s{i // 2}", values, weights, curves)
            found.append(clip)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_what_is_read_back_and_written_again_gives_the_same_files(tmp_path, seed):
    rng = np.random.default_rng(seed)
    folder, log = epath.Path(tmp_path) / "evaluation", tmp_path / "metrics.jsonl"
    log.write_text('{"step": 1, "epoch": 1, "generator/reconstruction": 0.5}\n')
    scores = _drawn(rng, ["model", "ground_truth", "own_row"], int(rng.integers(1, 9)))
    conventions = {"size": "32x24", "seed": 3, "odd": "a | b, <c> & “d”"}
    written = write_report(
        folder, "grid", "test", conventions, scores, [_sample(folder)], [_figure(folder)],
        {"model": log},
    )  # fmt: skip
    files = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert len(files) == 7
    again = read_report(folder)
    assert (again.corpus, again.split, again.conventions) == ("grid", "test", conventions)
    for before, after in zip(scores, again.scores, strict=True):
        assert (before.row, before.clip, before.speaker) == (after.row, after.clip, after.speaker)
        assert (before.values, before.weights) == (after.values, after.weights)
        assert before.curves.keys() == after.curves.keys()
        for name, curve in before.curves.items():
            np.testing.assert_array_equal(np.float32(curve), after.curves[name])
    rewritten = write_report(
        folder, again.corpus, again.split, again.conventions, again.scores, again.samples,
        again.figures, {"model": log},
    )  # fmt: skip
    assert rewritten == written
    for path, before in files.items():
        assert path.read_bytes() == before, path.name


def test_an_evaluation_that_is_absent_or_damaged_is_refused(written, tmp_path):
    with pytest.raises(UserError, match="nowhere holds no evaluation"):
        read_report(tmp_path / "nowhere")
    for name in ("report.json", "clips.csv", "curves.npz"):
        whole = (written[0] / name).read_bytes()
        (written[0] / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError, match=r"is damaged .*run `evaluate` again"):
            read_report(written[0])
        (written[0] / name).write_bytes(whole)
    (written[0] / "curves.npz").unlink()
    with pytest.raises(UserError, match="is damaged"):
        read_report(written[0])


def test_the_formats_agree_with_each_other(tmp_path):
    scores = _drawn(np.random.default_rng(7), ["model", "frozen_still"], 12)
    found = write_report(tmp_path, "demo", "test", {}, scores)
    lines = list(csv.DictReader(io.StringIO((tmp_path / "report.csv").read_text())))
    cells = {(row, m): cell for row, of in found["rows"].items() for m, cell in of.items()}
    assert {(line["row"], line["metric"]) for line in lines} == cells.keys()
    table = [line for line in (tmp_path / "report.md").read_text().splitlines() if "|" in line]
    heads = [head.strip() for head in table[0].strip("|").split("|")]
    shown = {row.split("|")[1].strip(): row.strip("|").split("|") for row in table[2:]}
    for line in lines:
        cell = cells[line["row"], line["metric"]]
        infinite = cell["clips"] and cell["mean"] is None
        for end in ("mean", "low", "high"):
            number = float(line[end]) if line[end] else None
            assert number == (np.inf if end == "mean" and infinite else cell[end])
        assert int(line["clips"]) == cell["clips"]
        assert int(line["unscored"]) == sum(cell["unscored"].values())
        at = heads.index(labels.column_heading(line["metric"]))
        text = f"{labels.format_mean(line['metric'], cell)} {labels.format_interval(line['metric'], cell)}"
        assert shown[labels.title(line["row"])][at].strip() == text.strip()


def test_latex_is_escaped_and_each_row_has_all_its_columns(tmp_path):
    scores = _scores("l1_100%_{a}&b", "wer", [0.2, 0.4]) + _scores("model", "own_$^~\\", [1.0, "x"])
    write_report(tmp_path, "my_corpus#1", "test", {}, scores)
    text = (tmp_path / "report.tex").read_text()
    assert r"my\_corpus\#1" in text and r"L1 100\% \{a\}\&b" in text
    assert r"own\_\$\textasciicircum{}\textasciitilde{}\textbackslash{}" in text
    tables = re.findall(r"\\begin\{tabular\}\{(l r*|lr*)\}(.*?)\\end\{tabular\}", text, re.DOTALL)
    assert len(tables) == 2
    for columns, body in tables:
        rows = [line.removesuffix(r"\\") for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) == 3
        for row in rows:
            assert len(re.split(r"(?<!\\)&", row)) == len(columns)
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == 2
    bare = re.sub(r"\\[{}&%$#_]", "", text)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    assert text.isascii()


def test_every_sign_that_latex_reads_is_escaped():
    assert formats.escape_latex("50% of a_b & {c} #1 $2 ~x ^y \\") == (
        r"50\% of a\_b \& \{c\} \#1 \$2 \textasciitilde{}x \textasciicircum{}y \textbackslash{}"
    )


def test_the_papers_numbers_stand_beside_the_papers_corpora_alone(tmp_path):
    scores = _scores("model", "wer", [0.3, 0.4]) + _scores("model", "psnr", [27.0, 28.0])
    ours = write_report(tmp_path / "grid", "grid", "test", {}, scores)
    assert ours["paper"]["paper: model"]["wer"] == 0.254
    assert ours["paper"]["paper: static baseline"]["psnr"] == 27.39
    assert set(ours["rows"]) == {"model"}
    for name in ("report.md", "report.html", "report.tex"):
        text = (tmp_path / "grid" / name).read_text()
        assert "27.98" in text and "aper: static baseline" in text
    assert "paper: model,wer,0.254,,,,," in (tmp_path / "grid" / "report.csv").read_text()
    for corpus, split in (("demo", "test"), ("grid", "val"), ("crema_d", "test")):
        other = write_report(tmp_path / corpus / split, corpus, split, {}, scores)
        assert "paper" not in other and "paper" not in other["conventions"]
        assert "aper: " not in (tmp_path / corpus / split / "report.html").read_text()


def test_a_reason_for_all_metrics_is_told_once():
    def cell(**unscored):
        return {"mean": None, "low": None, "high": None, "clips": 0, "unscored": unscored}

    rows = {"videos": {"psnr": cell(alone=2), "ssim": cell(alone=2), "wer": cell(alone=2, mute=1)}}
    assert labels.clip_counts(rows) == [("videos", 3, "alone (all 2); mute (WER 1)")]
