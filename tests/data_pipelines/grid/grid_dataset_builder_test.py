import functools
import hashlib
import io
import json
import zipfile
from typing import Any

import av
import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import prepare
from data_pipelines.aligning import worker_pool
from data_pipelines.common import download
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.faces import landmarks
from data_pipelines.grid import clip_lists, sentences, sources, zenodo
from data_pipelines.grid.grid_dataset_builder import Builder as GridBuilder
from data_pipelines.loading import dataset
from data_pipelines.media import images
from data_pipelines.quality import check
from tests import stand_in_faces
from tests.small_data import small_data

ALIGN = "0 12000 sil\n12000 19250 bin\n19250 27250 blue\n27250 30500 at\n30500 36000 f\n"
ALIGN += "36000 43250 two\n43250 55250 now\n55250 74500 sil\n"


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    monkeypatch.setattr(landmarks, "FaceFinder", stand_in_faces.Finder)
    monkeypatch.setattr(landmarks, "model_path", lambda: None)


def write_mpg(path, frames=75, pitch=8.0):
    """MPEG-1 and MP2, as GRID's own files; each recording has a pitch of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mpeg") as container:
        video = container.add_stream("mpeg1video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 96, "yuv420p"
        sound = container.add_stream("mp2", rate=44100, layout="stereo")
        for t in range(frames):
            pixels = np.full((96, 64, 3), 60 + t, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
        tone = 9000 * np.sin(np.arange(44100 * frames // 25) / pitch)
        samples = np.repeat(tone.astype(np.int16), 2)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = 44100
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


@pytest.fixture
def corpus_copy(tmp_path):
    """Four speakers, one of them packed; one clip too short, one misnamed."""
    folder = tmp_path / "grid"
    write_mpg(folder / "s1" / "bbaf2n.mpg")
    write_mpg(folder / "s1" / "lgbz8s.mpg", frames=74)
    (folder / "s1" / "notes.mpg").write_bytes(b"not a clip")
    write_mpg(folder / "s3" / "swwp2s.mpg", pitch=9)
    write_mpg(folder / "s9" / "pric2a.mpg", pitch=10)
    write_mpg(tmp_path / "prbx3p.mpg", pitch=11)
    with zipfile.ZipFile(folder / "s2.zip", "w") as archive:
        archive.write(tmp_path / "prbx3p.mpg", "s2/prbx3p.mpg")
        archive.writestr("__MACOSX/s2/._prbx3p.mpg", b"junk")
    for speaker, name in (("s6", "bbaf2n"), ("s3", "swwp2s")):  # S6 for s1: a swapped folder.
        (folder / "alignments" / speaker).mkdir(parents=True)
        (folder / "alignments" / speaker / f"{name}.align").write_text(ALIGN)
    return folder


data = functools.partial(small_data, "grid")


def test_a_copy_becomes_shards_and_the_unfit_clips_are_reported(corpus_copy, tmp_path, capsys):
    summary = prepare.prepare(data(), corpus_copy, tmp_path / "data")
    assert summary["clips"] == {"train": 2, "val": 1, "test": 1} and summary["quarantined"] == 2
    printed = capsys.readouterr().out
    assert "Skipped speakers that were not found: s4, s5" in printed and "2 of 6 clips" in printed

    form = tmp_path / "data" / "grid" / "32x24_16000hz_25fps"
    report = json.loads((form / "quarantine.json").read_text())
    assert report["clips"] == 6
    assert report["quarantined"] == {
        "s1_lgbz8s": "74 frames instead of 75",
        "s1_notes": "notes is not the name of a GRID sentence",
    }
    assert report["without_word_times"] == ["s1_lgbz8s", "s2_prbx3p", "s3_swwp2s", "s9_pric2a"]
    sheets = sorted(sheet.name for sheet in (form / "contact_sheets").iterdir())
    assert sheets == ["s1.png", "s2.png", "s3.png", "s9.png"]
    assert images.read_image(form / "contact_sheets" / "s1.png").shape == (32, 8 * 24, 3)

    builder: Any = tfds.builder_from_directory(summary["path"])
    train = builder.as_data_source("train")
    example = {row["id"]: row for row in train}[b"s1_bbaf2n"]
    assert example["transcript"] == b"bin blue at f two now"
    assert example["words"]["text"][0] == b"bin"
    assert example["words"]["start"][0] == pytest.approx(0.48)  # 12000 / 25000 s.
    assert example["audio"].shape == (48000,) and example["landmarks"].shape == (75, 68, 2)
    assert len(example["frames"]) == 75 and example["speaker"] == b"s1"
    assert images.decode_jpeg(example["frames"][0]).shape == (32, 24, 3)
    test = builder.as_data_source("test")[0]
    assert test["id"] == b"s2_prbx3p" and test["transcript"] == b"place red by x three please"


def test_its_shards_are_checked_against_the_clips_names(corpus_copy, tmp_path, monkeypatch):
    prepare.prepare(data(), corpus_copy, tmp_path / "data")
    report = check.check_shards(data(), None, tmp_path / "data")
    assert report["all"]["clips"] == 4 and report["errors"] == 0
    assert report["quarantine"]["quarantined"]["s1_lgbz8s"] == "74 frames instead of 75"
    assert {name: split["clips"] for name, split in report["splits"].items()} == {
        "train": 2, "val": 1, "test": 1,
    }  # fmt: skip
    transcripts = {"s1_bbaf2n": "bin blue at f two soon"}
    monkeypatch.setattr(
        GridBuilder, "transcript_of", lambda self, clip_id: transcripts.get(clip_id)
    )
    report = check.check_shards(data(), None, tmp_path / "data")
    assert [clip["id"] for clip in report["findings"][0]["clips"]] == ["s1_bbaf2n"]
    assert report["findings"][0]["kind"] == "transcript" and report["errors"] == 1


@pytest.mark.slow
def test_several_processes_find_what_one_finds(corpus_copy, tmp_path):
    prepare.prepare(data(), corpus_copy, tmp_path / "data")
    one = check.check_shards(data(), None, tmp_path / "data")
    assert check.check_shards(data(prepare_workers=2), None, tmp_path / "data") == one


def test_preparing_again_finds_the_shards(corpus_copy, tmp_path, capsys):
    first = prepare.prepare(data(), corpus_copy, tmp_path / "data")
    assert prepare.prepare(data(), None, tmp_path / "data") == first
    assert "was there already" in capsys.readouterr().out
    with pytest.raises(UserError, match="speakers=all, not .*s1.*delete that folder"):
        prepare.prepare(data(speakers=("s1",)), corpus_copy, tmp_path / "data")


def test_too_many_bad_clips_stop_it_and_the_cache_is_kept(corpus_copy, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="33.3% .* more than 5.0%.*max_bad_share=0.34"):
        prepare.prepare(data(max_bad_share=0.05), corpus_copy, tmp_path / "data")
    form = tmp_path / "data" / "grid" / "32x24_16000hz_25fps"
    assert (form / "quarantine.json").exists() and not list(form.glob("1.*"))
    monkeypatch.setattr(worker_pool, "align_one", None)  # It would be an error to align again.
    assert prepare.prepare(data(), corpus_copy, tmp_path / "data")["quarantined"] == 2


def test_some_speakers_and_absent_splits(corpus_copy, tmp_path, capsys):
    summary = prepare.prepare(data(speakers=("s3", "s4")), corpus_copy, tmp_path / "data")
    assert summary["clips"] == {"train": 1}
    assert "not found: s4." in capsys.readouterr().out
    with pytest.raises(UserError, match="no video of a speaker 's21'"):
        prepare.prepare(data(speakers=("s21",)), corpus_copy, tmp_path / "data")


def test_a_folder_without_the_corpus_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="No GRID clips of s1 to s34 in .*empty; it should hold"):
        prepare.prepare(data(), tmp_path / "empty", tmp_path / "data")
    with pytest.raises(UserError, match="There is no folder .*nowhere"):
        prepare.prepare(data(), tmp_path / "nowhere", tmp_path / "data")
    (tmp_path / "empty" / "s1.zip").write_bytes(b"PK half of it")
    with pytest.raises(UserError, match="s1.zip is not a complete zip"):
        prepare.prepare(data(), tmp_path / "empty", tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("bbaf2n", "bin blue at f two now"),
        ("swwzzs", "set white with z zero soon"),
        ("lgia1a", "lay green in a one again"),
        ("prbx9p", "place red by x nine please"),
    ],
)
def test_a_name_is_a_sentence(name, sentence):
    assert " ".join(sentences.words(name)) == sentence


@pytest.mark.parametrize("name", ["bbaw2n", "bbaf2", "bbaf2nn", "xbaf2n", "bbaf0n"])
def test_other_names_are_not(name):
    with pytest.raises(BadClip, match=name):
        sentences.words(name)


def test_times_count_only_if_the_words_agree():
    words = "bin blue at f two now".split()
    spans = sentences.word_times(ALIGN, words)
    assert [span.text for span in spans] == words
    assert (spans[-1].start, spans[-1].end) == pytest.approx((1.73, 2.21))
    assert sentences.word_times(ALIGN, "bin blue at f two soon".split()) == ()
    assert sentences.word_times("", words) == sentences.word_times("0 x bin", words) == ()


def serve(monkeypatch, folder, files, record):
    """Serves the record and its files from a folder, by file: URLs."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "record").write_text(json.dumps(record))
    monkeypatch.setattr(zenodo, "RECORD_URL", (folder / "record").as_uri())
    fetched = []

    def copy(url, path, algorithm, digest, progress):
        fetched.append((path.name, algorithm, digest))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((folder / path.name).read_bytes())
        assert download.file_digest(path, algorithm) == digest

    monkeypatch.setattr(zenodo, "download", copy)
    return fetched


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_the_requested_speakers_are_downloaded_and_checked_by_the_record(
    corpus_copy, tmp_path, monkeypatch
):
    clip = (corpus_copy / "s1" / "bbaf2n.mpg").read_bytes()
    files = {
        "s1.zip": zipped(**{"s1/bbaf2n.mpg": clip}),
        "alignments.zip": zipped(**{"alignments/s6/bbaf2n.align": ALIGN}),
    }
    sums = [{"key": k, "checksum": f"md5:{hashlib.md5(v).hexdigest()}"} for k, v in files.items()]
    fetched = serve(monkeypatch, tmp_path / "zenodo", files, {"files": sums})
    summary = prepare.prepare(data(speakers=("s1",)), None, tmp_path / "data")
    assert summary["clips"] == {"train": 1}
    assert [name for name, *_ in fetched] == ["alignments.zip", "s1.zip"]
    copy = sources.find_clips(tmp_path / "data" / "downloads" / "grid", ["s1"])
    assert [word.text for word in copy.clips[0].words][-1] == "now"


def test_without_the_record_only_pinned_files_can_be_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(zenodo, "RECORD_URL", (tmp_path / "nothing").as_uri())
    with pytest.raises(UserError, match="checksums of alignments.zip, s11.zip: .*--manual_dir"):
        zenodo.fetch(["s1", "s11"], tmp_path / "grid")


def test_a_list_says_which_clips_there_are_and_in_which_split(
    corpus_copy, tmp_path, monkeypatch, capsys
):
    lists = tmp_path / "lists"
    lists.mkdir()
    rows = "train\ts1_bbaf2n\nval\ts3_swwp2s\ntest\ts9_pric2a\ntest\ts1_bbaf3n\n"
    (lists / "few.tsv").write_text("split\tclip\n" + rows)
    monkeypatch.setattr(clip_lists, "_FOLDER", lists)
    config = data(options={"clip_list": "few"})
    summary = prepare.prepare(config, corpus_copy, tmp_path / "data")
    assert summary["clips"] == {"train": 1, "val": 1, "test": 1} and not summary["quarantined"]
    assert "1 of the 4 clips on the list are not in the copy, s1_bbaf3n" in capsys.readouterr().out
    assert check.check_shards(config, None, tmp_path / "data")["errors"] == 0
    with pytest.raises(UserError, match="clip_list=few, not all: delete"):
        prepare.prepared_builder(data(), corpus_copy, tmp_path / "data")
    assert len(dataset.open_dataset(config, "train", tmp_path / "data")) == 1
    for options in ({}, {"clip_list": "other"}):
        with pytest.raises(UserError, match="clip_list=.* were made with clip_list=few"):
            dataset.open_dataset(data(options=options), "train", tmp_path / "data")
    with pytest.raises(UserError, match="clip_list=all: must be one of few, or empty"):
        prepare.prepare(data(options={"clip_list": "all"}), corpus_copy, tmp_path / "data")


def test_the_list_of_speaker_1_has_no_sentence_twice():
    listed = clip_lists.read("s1")
    assert {split: len(clips) for split, clips in listed.items()} == {
        "train": 330, "val": 20, "test": 40
    }  # fmt: skip
    clips = [clip for part in listed.values() for clip in part]
    assert len(set(clips)) == 390 and clip_lists.speakers(listed) == ("s1",)
    for clip in clips:
        sentences.words(clip.partition("_")[2])  # Raises where it is no sentence's name.


def test_the_list_of_real_portraits_holds_out_four_people_and_speaker_1_s_test_sentences():
    real, own = clip_lists.read("real"), clip_lists.read("s1")
    people = {split: set(clip_lists.speakers({split: clips})) for split, clips in real.items()}
    assert len(people["test"]) == 4 and not people["test"] & (people["train"] | people["val"])
    assert len(people["train"]) == 8 and len(clip_lists.speakers(real)) == 12
    trained = [clip for clip in real["train"] if clip.startswith("s1_")]
    assert (trained, real["val"]) == (own["train"], own["val"])
