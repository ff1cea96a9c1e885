"""Laws that hold for every corpus."""

import importlib
import itertools
import os
from typing import Any

import numpy as np
import pytest

from configs import base
from data_pipelines import contract, prepare, splits
from data_pipelines.aligning import align_clip, base_builder
from data_pipelines.common.errors import UserError
from data_pipelines.grid import grid_dataset_builder
from data_pipelines.loading import dataset
from tests import drawn_corpora

VOLUNTEERS = [f"{i:02d}{'MF'[i % 2]}" for i in range(1, 60)]
KNOWN = [*splits.TCD_TIMIT_TEST, *splits.TCD_TIMIT_LEFT_OUT]
LIPSPEAKERS = ["Lipspkr1", "Lipspkr2", "Lipspkr3"]
FIELDS = ("with_left_out", "lipspeakers", "paper_validation")


def tcd_timit_speakers():
    """Fifty-nine volunteers, those that are not listed by a name of the right form, and three."""
    numbers = {name[:2] for name in KNOWN}
    return [*KNOWN, *(v for v in VOLUNTEERS if v[:2] not in numbers), *LIPSPEAKERS]


def all_splits():
    yield splits.GRID
    yield splits.CREMA_D
    rng = np.random.default_rng(0)
    for values in itertools.product((False, True), repeat=3):
        fields = dict(zip(FIELDS, values, strict=True))
        if not fields["with_left_out"] or fields["paper_validation"]:
            yield splits.tcd_timit(tcd_timit_speakers(), **fields)
            yield splits.tcd_timit(rng.choice(tcd_timit_speakers(), 20, replace=False), **fields)


def test_no_speaker_is_in_two_splits_and_none_is_named_twice():
    found = list(all_splits())
    assert len(found) == 14
    for parts in found:
        assert list(parts) == ["train", "val", "test"] and all(parts.values())
        named = [speaker for part in parts.values() for speaker in part]
        assert len(named) == len(set(named))


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [
        ({}, (39, 7, 10)),
        ({"with_left_out": True}, (42, 7, 10)),
        ({"lipspeakers": True}, (42, 7, 10)),
        ({"with_left_out": True, "lipspeakers": True}, (45, 7, 10)),
        ({"paper_validation": False}, (39, 3, 17)),
    ],
)
def test_tcd_timit_has_the_recommended_sizes(fields, sizes):
    parts = splits.tcd_timit(tcd_timit_speakers(), **fields)
    assert tuple(len(part) for part in parts.values()) == sizes
    assert set(parts["test"]) <= set(splits.TCD_TIMIT_TEST) and len(splits.TCD_TIMIT_TEST) == 17


def test_the_actors_of_crema_d_are_1001_to_1091():
    assert [len(part) for part in splits.CREMA_D.values()] == [64, 13, 14]
    everyone = {actor for part in splits.CREMA_D.values() for actor in part}
    assert everyone == {str(i) for i in range(1001, 1092)}


@pytest.mark.parametrize("name", ["grid", "tcd_timit", "crema_d", "folder"])
@pytest.mark.parametrize("preset", ["cvprw2019", "sda"])
def test_a_config_says_all_that_its_corpus_s_builder_can_be_told(name, preset, tmp_path):
    data = importlib.import_module(f"configs.{name}").get_config(preset).data
    form: Any = prepare.make_builder(data, None, tmp_path).builder_config
    assert form.content() == {"speakers": [], **data.options}
    assert form.name == f"128x96_{data.audio_rate}hz_25fps"


def test_a_corpus_without_options_may_use_the_shared_config():
    assert base_builder.RecordedConfig.options() == []
    assert base_builder.RecordedConfig().content() == {"speakers": []}


@pytest.mark.parametrize("name", ["grid", "tcd_timit", "crema_d"])
def test_every_field_reaches_the_builder(name, tmp_path):
    data = importlib.import_module(f"configs.{name}").get_config().data
    asked = {"max_seconds": 7.0, "max_bad_share": 0.3, "height": 64, "width": 48, "fps": 20}
    data.update(asked, prepare_workers=3)
    form: Any = prepare.make_builder(data, "/somewhere", tmp_path).builder_config
    assert asked.items() <= vars(form).items()
    assert form.manual_dir == "/somewhere" and form.workers == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Don't ask me to carry an oily rag like that.",
            "don't ask me to carry an oily rag like that",
        ),
        ("  \u201cShe said: \u2018We\u2019ll see!\u2019\u201d ", "she said we'll see"),
        ("o'clock, mid-day; 3_4", "o'clock mid day 3 4"),
        ("the Joneses' caf\u00e9", "the joneses caf\u00e9"),
        ("Cafe\u0301!", "caf\u00e9"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940\u0964", "\u0939\u093f\u0928\u094d\u0926\u0940"),
        ("... ' ''", ""),
    ],
)
def test_transcripts_are_words_in_lower_case(text, said):
    assert contract.normalize_text(text) == said
    assert contract.normalize_text(said) == said


def test_files_are_found_in_order_in_linked_folders_and_loops_end(tmp_path):
    for name in ("b/2.mp4", "b/1.MP4", "a/3.mp4", "a/x.txt", "a/._3.mp4", ".hidden/4.mp4"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "5.mp4").touch()
    (tmp_path / "root" / "c").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "a" / "loop").symlink_to(tmp_path / "root")
    root = tmp_path / "root"
    found = [path.relative_to(root).as_posix() for path in align_clip.find_files(root, ".mp4")]
    assert found == ["a/3.mp4", "b/1.MP4", "b/2.mp4", "c/5.mp4"]
    with pytest.raises(UserError, match="Cannot read the folder .*nowhere"):
        align_clip.find_files(tmp_path / "nowhere", ".mp4")


def test_grid_s_names_say_what_is_spoken(tmp_path):
    builder = grid_dataset_builder.Builder(data_dir=tmp_path)
    assert builder.transcript_of("s1_bbaf2n") == "bin blue at f two now"
    assert builder.transcript_of("s1_notes") is builder.transcript_of("s1") is None


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("S2F_FACE_LANDMARKER"), reason="needs the landmark model")
@pytest.mark.parametrize(
    ("name", "speakers"),
    [
        ("grid", ("s1", "s9", "s2")),
        ("tcd_timit", ("01M", "34M", "08F")),
        ("crema_d", ("1001", "1013", "1002")),
    ],
)
def test_a_drawn_corpus_comes_out_whole_and_in_step(name, speakers, tmp_path):
    """Every clip in its speaker's split; the mouth opens with the sound, from start to end."""
    pytest.importorskip("espeakng_loader")
    getattr(drawn_corpora, name)(tmp_path / "raw", speakers, 2)
    data = base.get_config().data
    data.corpus, data.speakers = name, speakers
    summary = prepare.prepare(data, tmp_path / "raw", tmp_path / "data")
    assert summary["clips"] == {"train": 2, "val": 2, "test": 2} and not summary["quarantined"]
    by_lag = []
    for split in ("train", "val", "test"):
        opened = dataset.open_dataset(data, split, tmp_path / "data")
        for clip in (opened[i] for i in range(len(opened))):
            gap = clip.landmarks[:, 66, 1] - clip.landmarks[:, 62, 1]
            power = np.square(clip.audio.astype(float).reshape(len(clip), -1)).mean(1)
            assert 4 < np.ptp(gap) < 30  # Pixels of 128 rows.
            by_lag.append([correlation(gap, np.log(power + 900), lag) for lag in range(-5, 6)])
    assert np.argmax(np.mean(by_lag, axis=0)) == 5  # Lag 0.
    assert np.mean(by_lag, axis=0).max() > 0.55


def correlation(a, b, lag):
    """Of a and of b `lag` frames earlier."""
    n = len(a) - abs(lag)
    return np.corrcoef(a[max(lag, 0) :][:n], b[max(-lag, 0) :][:n])[0, 1]
