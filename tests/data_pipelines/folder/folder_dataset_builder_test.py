import json
import math
import pathlib
import zlib
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import prepare
from data_pipelines.aligning import worker_pool
from data_pipelines.common.errors import UserError
from data_pipelines.faces import landmarks
from data_pipelines.folder import folder_dataset_builder, naming, pause_detection
from data_pipelines.media import images, writer
from tests import beep_files, stand_in_faces
from tests.small_data import small_data

RATE = 16000


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    monkeypatch.setattr(landmarks, "FaceFinder", stand_in_faces.Finder)
    monkeypatch.setattr(landmarks, "model_path", lambda: None)


def write(path, *pieces):
    """(Amplitude, seconds), ... of a tone of about 1 kHz; frame t is of the grey 20 + t / 2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    loud = np.concatenate([np.full(round(s * RATE), amplitude) for amplitude, s in pieces])
    hertz = 1000 + zlib.crc32(path.name.encode()) % 100  # No two recordings are the same.
    samples = (loud * np.sin(2 * np.pi * hertz * np.arange(len(loud)) / RATE)).astype(np.float32)
    grey = 20 + np.arange(len(loud) * 25 // RATE) // 2
    frames = np.broadcast_to(grey[:, None, None, None], (len(grey), 96, 64, 3)).astype(np.uint8)
    writer.write_video(path, frames, 25, samples, RATE)
    return path


@pytest.fixture
def videos(tmp_path):
    """Three speakers; one video of 10 s with a pause that is left out, one that is none."""
    folder = tmp_path / "videos"
    write(
        folder / "anna" / "long.mp4",
        *((0, 2), (0.5, 2), (0, 1.5), (0.5, 1), (0, 0.4), (0.5, 1.2), (0, 1.9)),
    )
    cues = "1\n00:00:02,000 --> 00:00:04,000\nhello\n\n2\n00:00:05,500 --> 00:00:08,000\nthere\n"
    (folder / "anna" / "long.srt").write_text(cues)
    for name in ("bob/one.mp4", "bob/two.mp4", "Zoë/hi there.mp4"):
        write(folder / name, (0.5, 1.2))
    (folder / "bob" / "one.txt").write_text("so it is")
    (folder / "bob" / "broken.mp4").write_bytes(b"no video")
    return folder


def data(options=(), **fields):
    options = {"max_clip_seconds": 4.0} | dict(options)
    return small_data("folder", audio_rate=RATE, options=options, **fields)


def examples(summary):
    """{split: {id: example}}."""
    builder: Any = tfds.builder_from_directory(summary["path"])
    sources = {split: builder.as_data_source(split) for split in builder.info.splits}
    return {split: {row["id"].decode(): row for row in rows} for split, rows in sources.items()}


def test_a_folder_becomes_shards(videos, tmp_path, capsys):
    summary = prepare.prepare(data(), videos, tmp_path / "data")
    found = examples(summary)
    assert {split: len(part) for split, part in found.items()} == summary["clips"]
    rows = {name: row for part in found.values() for name, row in part.items()}
    zoe = naming.video_name(pathlib.PurePosixPath("Zoë/hi there.mp4"))
    assert set(rows) == {
        "anna_long_0001",
        "anna_long_0002",
        "bob_one_0001",
        "bob_two_0001",
        f"{zoe}_0001",
    }
    speakers = {split: {row["speaker"] for row in part.values()} for split, part in found.items()}
    assert sum(map(len, speakers.values())) == len(set.union(*speakers.values())) == 3
    assert rows[f"{zoe}_0001"]["speaker"].decode() == naming.speaker_name("Zoë")
    assert [rows[f"anna_long_000{i}"]["transcript"] for i in (1, 2)] == [b"hello", b"there"]
    assert rows["bob_one_0001"]["transcript"] == b"so it is"

    first = rows["anna_long_0001"]  # From 1.68 to 4.32 s.
    assert len(first["frames"]) == pytest.approx(66, abs=1)
    assert images.decode_jpeg(first["frames"][0])[0, 0, 0] == pytest.approx(20 + 42 / 2, abs=2)
    loud = np.abs(first["audio"].reshape(-1, RATE // 25)).max(axis=1) > 3000
    assert not loud[:6].any() and loud[10:56].all() and not loud[-6:].any()

    report = json.loads(
        (pathlib.Path(summary["path"]).parent / "quarantine.json").read_text("utf-8")
    )
    assert list(report["quarantined"]) == ["bob_broken"] and report["clips"] == 6
    printed, progress = capsys.readouterr()
    assert "analysed 5 of 5 videos" in progress and "5 clips in 5 videos" in printed


def test_missing_sound_is_silent_and_counted(tmp_path, capsys):
    """A recording whose silent packets were left out, as gates and WebRTC do."""
    folder = tmp_path / "videos"
    for name in "abc":
        (folder / name).mkdir(parents=True)
        write(folder / name / f"{name}.mp4", (0.5, 1.2))
    holes = ((0.1, 1.1), (2.0, 3.1))
    form = "webm", "libvpx", "libopus", 48000
    beep_files.write_video(folder / "a" / "g.webm", *form, holes=holes, sample_format="flt")
    options = {"max_clip_seconds": 10.0}
    summary = prepare.prepare(data(options), folder, tmp_path / "data")
    rows = {name: row for part in examples(summary).values() for name, row in part.items()}
    (name,) = (name for name in rows if name.startswith("a_g"))
    audio = rows[name]["audio"] / 32768
    assert np.abs(beep_files.onsets(audio, RATE, (1.24, 3.6, 4.4, 5.6))).max() < 0.005
    report = json.loads((pathlib.Path(summary["path"]).parent / "quarantine.json").read_text())
    assert report["seconds_of_sound_missing"] == {name: pytest.approx(2.1, abs=0.1)}
    assert "Of 1 of the others 2.1 s of sound were missing" in capsys.readouterr().out
    other = prepare.prepare(data(options, max_filled=0.2), folder, tmp_path / "other")
    report = json.loads((pathlib.Path(other["path"]).parent / "quarantine.json").read_text())
    assert "2.1 of 6.0 s of its sound are missing" in report["quarantined"][name]


def test_a_second_run_analyses_nothing_and_other_options_are_refused(
    videos, tmp_path, monkeypatch, capsys
):
    with pytest.raises(UserError, match="16.7% .* more than 5.0%"):
        prepare.prepare(data(max_bad_share=0.05), videos, tmp_path / "data")
    monkeypatch.setattr(
        pause_detection, "speech_levels", None
    )  # It would be an error to do that again,
    monkeypatch.setattr(worker_pool, "align_one", None)  # or to align.
    made = prepare.prepare(data(), videos, tmp_path / "data")
    assert prepare.prepare(data(), None, tmp_path / "data") == made
    assert "was there already" in capsys.readouterr().out
    for options in ({"split_seed": 1}, {"max_clip_seconds": 5.0}, {"within_speaker": True}):
        with pytest.raises(UserError, match=f"with {min(options)}=.*delete that folder"):
            prepare.prepare(data(options), videos, tmp_path / "data")


def test_it_is_a_tfds_data_set_by_its_name(videos, tmp_path):
    form = folder_dataset_builder.FolderConfig()
    prepare.prepare(data(height=form.height, width=form.width), videos, tmp_path / "data")
    source: Any = tfds.data_source(
        "folder", split="train", data_dir=tmp_path / "data", download=False
    )
    assert images.decode_jpeg(source[0]["frames"][0]).shape == (128, 96, 3)


def test_a_csv_has_speakers_splits_and_cuts(videos, tmp_path):
    (videos / "list.csv").write_text(
        "file,speaker,split,start,end,transcript\n"
        "anna/long.mp4,a,test,2,3,First!\n"
        "anna/long.mp4,a,test,3,4.2,second\n"
        "bob/one.mp4,b,train,,,\n"
        "bob/two.mp4,c,val,,,whole\n"
    )
    summary = prepare.prepare(data({"csv": "list.csv"}), videos, tmp_path / "data")
    found = examples(summary)
    rows = {
        split: [(n, row["speaker"], row["transcript"], len(row["frames"])) for n, row in p.items()]
        for split, p in found.items()
    }
    assert sorted(rows["test"]) == [
        ("anna_long_0001", b"a", b"first", 25),
        ("anna_long_0002", b"a", b"second", 30),
    ]
    assert rows["train"] == [("bob_one_0001", b"b", b"so it is", 30)]
    assert rows["val"] == [("bob_two_0001", b"c", b"whole", 30)]
    with (videos / "list.csv").open("a") as f:
        f.write("Zoë/hi there.mp4,d,train,,,\n")
    with pytest.raises(UserError, match="with csv=.*delete that folder"):
        prepare.prepare(data({"csv": "list.csv"}), videos, tmp_path / "data")


def test_one_speaker_s_files_are_split_with_within_speaker(videos, tmp_path, capsys):
    for name in ("three", "four"):
        write(videos / "bob" / f"{name}.mp4", (0.5, 1.2))
    only = {"speakers": ("bob",), "max_bad_share": 0.5}
    with pytest.raises(UserError, match="one speaker, 'bob'.*within_speaker=True"):
        prepare.prepare(data(**only), videos, tmp_path / "data")
    options = {"within_speaker": True, "test_share": 0.0}
    summary = prepare.prepare(data(options, **only), videos, tmp_path / "data")
    assert summary["clips"] == {"train": 3, "val": 1}
    assert "no new faces" in capsys.readouterr().out
    metadata = tfds.builder_from_directory(summary["path"]).info.metadata or {}
    assert metadata["within_speaker"] is True


def test_some_speakers_by_their_folders_names(videos, tmp_path, capsys):
    some = data(speakers=("Zoë", "bob", "carl"))
    found = examples(prepare.prepare(some, videos, tmp_path / "data"))
    assert set(found) == {"train", "val"}  # Two speakers are too few for a test.
    names = {row["speaker"].decode() for rows in found.values() for row in rows.values()}
    assert names == {"bob", naming.speaker_name("Zoë")}
    assert "not found: carl." in capsys.readouterr().out
    with pytest.raises(UserError, match="is of carl; the speakers are anna, bob, zo"):
        prepare.prepare(data(speakers=("carl",)), videos, tmp_path / "other")


def test_cuts_in_the_middle_of_speech_are_counted(tmp_path, capsys):
    for name in "abc":
        write(tmp_path / "videos" / name / f"{name}.mp4", (0.5, 5))
    prepare.prepare(data(max_bad_share=0), tmp_path / "videos", tmp_path / "data")
    assert "3 cuts are in the middle of speech, in a_a, b_b, c_c" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speaker_level": -1}, "speaker_level=-1: must be 0 or more"),
        ({"min_seconds": 3.0}, "min_seconds=3.0, max_clip_seconds=4.0: "),
        ({"min_seconds": 0.0}, "min_seconds=0.0, max_clip_seconds=4.0: "),
        ({"max_clip_seconds": math.nan}, "min_seconds=1.0, max_clip_seconds=nan: "),
        ({"max_clip_seconds": 40.0}, "max_seconds=30.0, beyond which"),
        ({"val_share": 0.5, "test_share": 0.5}, "nothing to train on"),
        ({"val_share": -0.1}, "val_share=-0.1"),
        ({"within_speaker": True, "within_video": True}, "by file or by part of each file"),
        ({"csv": "none.csv"}, "csv=none.csv: there is no such file"),
        ({"colour": "red"}, "corpus folder has no option 'colour'"),
    ],
)
def test_invalid_options_are_refused(videos, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        prepare.prepare(data(options), videos, tmp_path / "data")


def test_a_folder_is_required(tmp_path):
    with pytest.raises(UserError, match="your own videos: give --manual_dir"):
        prepare.prepare(data(), None, tmp_path / "data")
