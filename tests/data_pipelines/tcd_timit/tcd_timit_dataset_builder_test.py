import functools
import importlib
import json
import zlib
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import prepare
from data_pipelines.common.errors import UserError
from data_pipelines.faces import landmarks
from data_pipelines.loading import dataset
from data_pipelines.media import writer
from data_pipelines.tcd_timit import labels
from tests import stand_in_faces
from tests.small_data import small_data

PHONES = "0 2500000 sil\n2500000 3000000 sh -71.5\n3000000 4000000 iy\n4000000 6000000 sil\n"
WORDS = "0 2500000 sil\n2500000 4000000 She\n4000000 5000000 DON'T\n5000000 6000000 sp\n"


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    monkeypatch.setattr(landmarks, "FaceFinder", stand_in_faces.Finder)
    monkeypatch.setattr(landmarks, "model_path", lambda: None)


def write_mp4(path, frames=30):
    """29.97 frames/s and 48 kHz, as TCD-TIMIT's own files; another picture and tone for each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = zlib.crc32(path.as_posix().encode())
    pixels = np.full((frames, 96, 64, 3), 60 + own % 128, np.uint8)
    tone = 0.3 * np.sin(np.arange(1601 * frames) / (8 + own / 2**28))
    plain = path.with_suffix(".mp4")  # Of a name in upper case, too.
    writer.write_video(plain, pixels, 30000 / 1001, tone, 48000)
    plain.rename(path)


def block(place, rows=PHONES, end=".\n"):
    return f'"{place}.rec"\n{rows}{end}'


@pytest.fixture
def corpus_copy(tmp_path):
    """Speakers of every kind, one unpacked elsewhere; a side camera, a second copy, a dead link."""
    folder = tmp_path / "TCDTIMIT"
    volunteers = folder / "volunteers"
    write_mp4(volunteers / "01M" / "Clips" / "straightcam" / "sa1.mp4")
    write_mp4(volunteers / "01M" / "Clips" / "straightcam" / "SI2.MP4", frames=45)
    write_mp4(volunteers / "01M" / "Clips" / "30degcam" / "sa1.mp4")
    write_mp4(volunteers / "34M" / "Clips" / "straightcam" / "sa2.MOV")
    write_mp4(folder / "08F" / "Straightcam" / "sx3.mp4")
    write_mp4(volunteers / "27M" / "Clips" / "straightcam" / "sa1.mp4")
    write_mp4(folder / "lipspeakers" / "Lipspkr1" / "Clips" / "straightcam" / "sa1.mp4")
    (volunteers / "02F").mkdir()
    copy = folder / "backup" / "08f" / "straightcam"
    write_mp4(copy / "sx3.mp4")
    (copy / "sx4.mp4").symlink_to(folder / "nothing.mp4")
    (copy / "._sx3.mp4").write_bytes(b"resource fork")
    (folder / "08F" / "Straightcam" / "sx3.txt").write_text("0 46797 \u201cShe don\u2019t!\u201d\n")
    q = "Q:/Videos/TCD-TIMIT/volunteers"
    phones = [block(f"{q}/01M/Clips/straightcam/sa1"), block(f"{q}/08F/Clips/straightcam/sx3")]
    phones += [block(f"{q}/34M/Clips/straightcam/sa2", end="")]
    (folder / "volunteer_labelfiles.mlf").write_text("#!MLF!#\n" + "".join(phones))
    words = [block("*\\01m\\straightcam\\SI2", WORDS), block("*/08F/straightcam/sx3", WORDS)]
    (folder / "labels").mkdir()
    (folder / "labels" / "words.MLF").write_text("#!MLF!#\r\n" + "".join(words), "utf-16")
    return folder


data = functools.partial(small_data, "tcd_timit", max_bad_share=0.5)


def test_a_copy_becomes_shards_and_unfit_clips_are_reported(corpus_copy, tmp_path, capsys):
    summary = prepare.prepare(data(), corpus_copy, tmp_path / "data")
    assert summary["clips"] == {"train": 2, "val": 1, "test": 1}
    printed = capsys.readouterr().out
    assert "1 of 4 clips have no labels" in printed and "02M or 02F, 03M or 03F" in printed
    report = json.loads(
        (tmp_path / "data" / "tcd_timit" / "32x24_16000hz_25fps" / "quarantine.json").read_text()
    )
    assert report["quarantined"] == {
        "backup/08f/straightcam/sx4.mp4": "a link to a file that does not exist",
        "backup/08f/straightcam/sx3.mp4": "the same clip as 08F/Straightcam/sx3.mp4",
    }
    assert report["without_word_times"] == ["01M_sa1", "34M_sa2"]
    assert report["without_labels"] == ["34M_sa2"]
    assert {"09F", "15F"} < set(report["absent_speakers"])
    assert not {"01M or 01F", "08F", "27M or 27F", "60M or 60F"} & set(report["absent_speakers"])

    builder: Any = tfds.builder_from_directory(summary["path"])
    train = {row["id"]: row for row in builder.as_data_source("train")}
    first = train[b"01M_sa1"]
    assert first["speaker"] == b"01M" and first["transcript"] == b"sh iy"
    assert list(first["phones"]["text"]) == [b"sh", b"iy"] and not len(first["words"]["text"])
    assert first["phones"]["start"][1] == pytest.approx(0.3)
    assert len(first["frames"]) == 25 and first["audio"].shape == (16000,)  # Of 30 at 29.97.
    longer = train[b"01M_si2"]
    assert len(longer["frames"]) == 38  # 1.5015 s.
    assert longer["transcript"] == b"she don't" == b" ".join(longer["words"]["text"])
    test = builder.as_data_source("test")[0]
    assert test["id"] == b"08F_sx3" and test["transcript"] == b"she don't"  # The prompt.
    assert len(test["phones"]["text"]) == len(test["words"]["text"]) == 2
    assert builder.as_data_source("val")[0]["transcript"] == b""


def test_plain_tfds_reads_it(corpus_copy, tmp_path, monkeypatch):
    prepare.prepare(data(height=128, width=96), corpus_copy, tmp_path / "data")
    importlib.import_module("data_pipelines.tcd_timit.tcd_timit_dataset_builder")
    source: Any = tfds.data_source(
        "tcd_timit", split="test", data_dir=tmp_path / "data", download=False
    )
    assert [row["id"] for row in source] == [b"08F_sx3"]


@pytest.mark.parametrize(
    ("options", "clips"),
    [
        ({"with_left_out": True}, {"train": 3, "val": 1, "test": 1}),
        ({"lipspeakers": True}, {"train": 3, "val": 1, "test": 1}),
        ({"paper_validation": False}, {"train": 2, "val": 1, "test": 2}),
    ],
)
def test_the_options_choose_the_split(corpus_copy, tmp_path, options, clips):
    assert prepare.prepare(data(options=options), corpus_copy, tmp_path)["clips"] == clips
    name = next(iter(options))
    with pytest.raises(UserError, match=f"{name}={options[name]}, not {not options[name]}: delete"):
        prepare.prepare(data(), corpus_copy, tmp_path)
    assert len(dataset.open_dataset(data(options=options), "train", tmp_path)) == clips["train"]
    with pytest.raises(UserError, match=f"made with {name}={options[name]}; .*another --data_dir"):
        dataset.open_dataset(data(options={name: not options[name]}), "train", tmp_path)


def test_some_speakers(corpus_copy, tmp_path, capsys):
    summary = prepare.prepare(data(speakers=("01M", "09F")), corpus_copy, tmp_path)
    assert summary["clips"] == {"train": 2}
    assert "not found: 09F." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"speakers": ("1M",)}, "no speaker '1M'"),
        ({"speakers": ("01m",)}, "no speaker '01m'"),
        ({"speakers": ("27M",)}, "27M is in no split; .*with_left_out=True"),
        ({"speakers": ("Lipspkr2",)}, "Lipspkr2 is in no split; .*lipspeakers=True"),
        ({"speakers": ("09F",)}, "No TCD-TIMIT clips of 09F in "),
        ({"options": {"with_left_out": True, "paper_validation": False}}, "one of these two"),
        ({"options": {"left": True}}, "no option 'left'"),
    ],
)
def test_mistakes_are_refused(tmp_path, fields, sentence):
    write_mp4(tmp_path / "01M" / "straightcam" / "sa1.mp4")
    with pytest.raises(UserError, match=sentence):
        prepare.prepare(data(**fields), tmp_path, tmp_path / "data")
    assert not list(tmp_path.glob("data/tcd_timit/*/*"))


def test_without_a_copy_the_message_says_where_to_ask(tmp_path):
    with pytest.raises(UserError, match="ask for it at sigmedia.tcd.ie/TCDTIMIT .*--manual_dir"):
        prepare.prepare(data(), None, tmp_path / "data")
    with pytest.raises(UserError, match="There is no folder .*nowhere"):
        prepare.prepare(data(), tmp_path / "nowhere", tmp_path / "data")


def read(tmp_path, *texts):
    paths = [tmp_path / f"{i}.mlf" for i in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return labels.read_labels(paths)


@pytest.mark.parametrize(
    "path",
    [
        "Q:/Videos/TCD-TIMIT/volunteers/01M/Clips/straightcam/sa1",
        "D:\\TCD\\volunteers\\01M\\Clips\\straightcam\\SA1",
        "*/01m/sa1",
    ],
)
def test_labels_are_found_by_speaker_and_sentence(tmp_path, path):
    found = read(tmp_path, "#!MLF!#\n" + block(path))
    assert found.keys() == {("01M", "sa1")}
    spans = found["01M", "sa1"].phones
    assert [(s.text, s.start, s.end) for s in spans] == [("sh", 0.25, 0.3), ("iy", 0.3, 0.4)]


@pytest.mark.parametrize("path", ["*/sa1", "*/01M/Clips/30degcam/sa1", "*/01MX/sa1"])
def test_blocks_of_other_clips_are_passed_over(tmp_path, path):
    found = read(tmp_path, block(path) + block("*/02F/sa1"))
    assert found.keys() == {("02F", "sa1")}


GOOD = block("*/02F/sa2")


@pytest.mark.parametrize(
    "rows",
    [
        "",
        "0 5000000 sil\n",
        "0 5000000\n",
        "0 x sh\n",
        "-5 9 sh\n",
        "0 nan sh\n",
        "7000000 5000000 sh\n",
        "5000000 6000000 sh\n0 4000000 iy\n",
        "0 5000000\0 sh\n",
        "#!MLF!#\n0 9 sh\n",
    ],
)
def test_a_damaged_block_is_ignored_and_the_next_is_read(tmp_path, rows):
    found = read(tmp_path, "#!MLF!#\n" + block("*/01M/sa1", rows) + GOOD)
    assert found.keys() == {("02F", "sa2")}


def test_a_block_without_its_dot_is_ignored(tmp_path):
    assert read(tmp_path, block("*/01M/sa1", end="") + GOOD).keys() == {("02F", "sa2")}
    assert read(tmp_path, GOOD + block("*/01M/sa1", end="")).keys() == {("02F", "sa2")}


def test_the_same_block_twice_is_one_and_two_that_differ_are_none(tmp_path):
    other = GOOD.replace("3000000", "3100000")
    assert read(tmp_path, GOOD + GOOD, GOOD) == read(tmp_path, GOOD)
    assert read(tmp_path, GOOD + other) == {}
    words = block("*/02F/sa2", WORDS)
    labelled = read(tmp_path, GOOD + other, words)["02F", "sa2"]
    assert len(labelled.words) == 2 and not labelled.phones


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_codings_and_line_ends_change_nothing(tmp_path, coding):
    text = "#!MLF!#\n" + GOOD
    assert read(tmp_path, text.replace("\n", "\r\n").encode(coding)) == read(tmp_path, text)
    assert read(tmp_path, b"\x00\xff\xfe\x80" * 50) == {}


def test_an_unreadable_label_file_is_refused(tmp_path):
    (tmp_path / "gone.mlf").symlink_to(tmp_path / "nothing")
    with pytest.raises(UserError, match="Cannot read .*gone.mlf"):
        labels.read_labels([tmp_path / "gone.mlf"])


def test_damage_loses_no_more_than_its_own_block(tmp_path):
    """Bytes changed at random in the lines of one block of three: the two others are unharmed."""
    first, damaged, last = (block(f"*/0{i}M/sa1") for i in (1, 2, 3))
    whole = read(tmp_path, first + damaged + last)
    rng, harmed = np.random.default_rng(0), 0
    for _ in range(200):
        data = bytearray(damaged.encode())
        for position in rng.integers(damaged.index("\n") + 1, len(data) - 3, 3):
            data[position] = rng.integers(256)
        found = read(tmp_path, first.encode() + bytes(data) + last.encode())
        assert found["01M", "sa1"] == whole["01M", "sa1"]
        assert found["03M", "sa1"] == whole["03M", "sa1"]
        harmed += found.get(("02M", "sa1")) != whole["02M", "sa1"]
    assert harmed > 100  # Else nothing was tested.
