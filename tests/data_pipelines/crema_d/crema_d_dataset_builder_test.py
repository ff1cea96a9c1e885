import fractions
import functools
import importlib
import json
import zlib
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import prepare
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.crema_d import crema_d_dataset_builder, sentences
from data_pipelines.demo import speech
from data_pipelines.faces import landmarks
from tests import drawn_corpora, stand_in_faces
from tests.small_data import small_data

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    monkeypatch.setattr(landmarks, "FaceFinder", stand_in_faces.Finder)
    monkeypatch.setattr(landmarks, "model_path", lambda: None)


def write_flv(path, frames=30, loudness=0.3):
    """FLV1 and MP3, as CREMA-D's own files; another picture and tone for each."""
    own = zlib.crc32(path.as_posix().encode())
    heads = np.full((frames, 128, 96, 3), 60 + own % 128, np.uint8)
    tone = loudness * np.sin(np.arange(speech.RATE * frames // 30) / (8 + own / 2**28))
    recording = drawn_corpora.Recording(heads, fractions.Fraction(30000, 1001), tone, [], [])
    drawn_corpora.write(path, recording, (128, 96), "flv1", "libmp3lame", 44100)


@pytest.fixture
def clone(tmp_path):
    """An actor of each split; a silent clip, a known bad one, a misnamed one, a pointer, a copy."""
    folder = tmp_path / "CREMA-D"
    videos = folder / "VideoFlash"
    for name in ("1001_DFA_ANG_XX.flv", "1040_ITH_SAD_X.flv", "1013_ieo_hap_lo.FLV"):
        write_flv(videos / name)
    write_flv(videos / "1002_WSI_NEU_XX.flv", frames=50)
    write_flv(videos / "1076_MTI_SAD_XX.flv", loudness=0)
    write_flv(videos / "1064_IEO_DIS_MD.flv")
    write_flv(folder / "old" / "1001_DFA_ANG_XX.flv")
    (videos / "1001_XYZ_ANG_XX.flv").write_bytes(b"no clip of the corpus")
    (videos / "1003_TAI_FEA_XX.flv").write_text(POINTER)
    (videos / "1005_TSI_SAD_XX.flv").symlink_to(folder / "nothing.flv")
    (folder / "AudioWAV").mkdir()
    (folder / "AudioWAV" / "1001_DFA_ANG_XX.wav").write_text(POINTER)
    return folder


data = functools.partial(small_data, "crema_d", max_bad_share=0.6)


def test_a_clone_becomes_shards_and_unfit_clips_are_reported(clone, tmp_path, capsys):
    summary = prepare.prepare(data(), clone, tmp_path / "data")
    assert summary["clips"] == {"train": 2, "val": 1, "test": 1}
    printed = capsys.readouterr().out
    assert "not found: 1003, 1004" in printed and "6 of 10 clips are quarantined" in printed
    form = tmp_path / "data" / "crema_d" / "32x24_16000hz_25fps"
    assert json.loads((form / "quarantine.json").read_text())["quarantined"] == {
        "VideoFlash/1003_TAI_FEA_XX.flv": "a git-LFS pointer instead of the video: run `git lfs pull` in the clone",
        "VideoFlash/1064_IEO_DIS_MD.flv": "a minute long, with every emotion",
        "1076_MTI_SAD_XX": "silent",
        "VideoFlash/1005_TSI_SAD_XX.flv": "cannot be read (No such file or directory)",
        "VideoFlash/1001_XYZ_ANG_XX.flv": "1001_XYZ_ANG_XX is not the name of a CREMA-D clip",
        "old/1001_DFA_ANG_XX.flv": "the same clip as VideoFlash/1001_DFA_ANG_XX.flv",
    }
    builder: Any = tfds.builder_from_directory(summary["path"])
    train = {row["id"]: row for row in builder.as_data_source("train")}
    clip = train[b"1001_DFA_ANG_XX"]
    assert clip["speaker"] == b"1001" and clip["transcript"] == b"don't forget a jacket"
    assert len(clip["frames"]) == 25 and clip["audio"].shape == (16000,)
    assert b"1040_ITH_SAD_X" in train
    test = builder.as_data_source("test")[0]
    assert test["id"] == b"1002_WSI_NEU_XX" and len(test["frames"]) == 42  # 1.668 s.
    assert test["transcript"] == b"we'll stop in a couple of minutes"


def test_a_clone_without_its_videos_is_refused(clone, tmp_path):
    for path in (clone / "VideoFlash").iterdir():
        if path.stem != "1001_DFA_ANG_XX" and path.exists():
            path.write_text(POINTER)
    with pytest.raises(UserError, match="5 of the 6 videos in .* run `git lfs pull`"):
        prepare.prepare(data(), clone, tmp_path / "data")
    some = data(speakers=("1001",), max_bad_share=0.7)  # A misnamed one and a copy.
    assert prepare.prepare(some, clone, tmp_path / "data")["clips"] == {"train": 1}


def test_plain_tfds_reads_it(clone, tmp_path):
    prepare.prepare(data(height=128, width=96), clone, tmp_path / "data")
    importlib.import_module("data_pipelines.crema_d.crema_d_dataset_builder")
    source: Any = tfds.data_source(
        "crema_d", split="val", data_dir=tmp_path / "data", download=False
    )
    assert [row["id"] for row in source] == [b"1013_IEO_HAP_LO"]


def test_mistakes_are_refused(tmp_path):
    with pytest.raises(UserError, match="github.com/CheyneyComputerScience/CREMA-D"):
        prepare.prepare(data(), None, tmp_path / "data")
    with pytest.raises(UserError, match="There is no folder .*nowhere"):
        prepare.prepare(data(), tmp_path / "nowhere", tmp_path / "data")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="No CREMA-D clips of the 91 requested actors in .*empty"):
        prepare.prepare(data(), tmp_path / "empty", tmp_path / "data")
    with pytest.raises(UserError, match="no actor '1092'; .* 1001 to 1091"):
        prepare.prepare(data(speakers=("1092",)), tmp_path / "empty", tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "actor", "transcript"),
    [
        ("1001_IEO_ANG_HI", "1001", "it's eleven o'clock"),
        ("1091_ITS_NEU_XX", "1091", "i think i've seen this before"),
        ("1040_ITH_SAD_X", "1040", "i think i have a doctor's appointment"),
    ],
)
def test_a_name_is_an_actor_and_a_sentence(name, actor, transcript, tmp_path):
    assert sentences.parse_name(name) == (actor, transcript)
    assert crema_d_dataset_builder.Builder(data_dir=tmp_path).transcript_of(name) == transcript


@pytest.mark.parametrize(
    "name", ["1001_IEO_ANG", "1001_IEO_JOY_XX", "1001_IEO_ANG_XXX", "101_IEO_ANG_XX", "1001"]
)
def test_other_names_are_not(name, tmp_path):
    with pytest.raises(BadClip, match=name):
        sentences.parse_name(name)
    assert crema_d_dataset_builder.Builder(data_dir=tmp_path).transcript_of(name) is None
