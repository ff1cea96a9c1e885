"""Laws of the demo corpus."""

import sys

import cv2
import numpy as np
import pytest

from data_pipelines import prepare
from data_pipelines.common import errors
from data_pipelines.demo import demo_dataset_builder as demo
from tests.small_data import small_data

pytest.importorskip("espeakng_loader")  # The extra [data].

TINY = dict(train_speakers=2, val_speakers=1, test_speakers=1, train_clips=2, val_clips=1)


def make_builder(data_dir, workers=1, height=32, **options):
    data = small_data("demo", height=height, width=height * 3 // 4, prepare_workers=workers)
    return prepare.make_builder(data | {"options": TINY | options}, None, data_dir)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    builder = make_builder(tmp_path_factory.mktemp("data"), height=64)
    builder.download_and_prepare()
    return builder


@pytest.fixture(scope="module")
def examples(built):
    return {split: list(built.as_data_source(split)) for split in ("train", "val", "test")}


def images(example):
    """Pixels [T, H, W, 3]."""
    decoded = [cv2.imdecode(np.frombuffer(f, np.uint8), 1) for f in example["frames"]]
    return np.array(decoded)


def test_the_folder_is_named_after_the_form(built, tmp_path):
    assert built.data_path.parts[-3:] == ("demo", "64x48_16000hz_25fps", "1.0.0")
    assert next(built.data_path.glob("*.array_record*"))
    same = demo.Builder(config=demo.DemoConfig(height=64, width=48), data_dir=tmp_path)
    assert same.data_path.parts[-3:] == built.data_path.parts[-3:]


def test_splits_have_the_given_sizes_and_share_no_speaker(examples):
    assert {split: len(found) for split, found in examples.items()} == dict(train=4, val=1, test=3)
    speakers = [{example["speaker"] for example in found} for found in examples.values()]
    assert [len(s) for s in speakers] == [2, 1, 1] and len(set.union(*speakers)) == 4
    ids = [example["id"] for found in examples.values() for example in found]
    assert len(set(ids)) == len(ids)


def test_examples_are_three_seconds_of_everything(examples):
    for example in examples["train"]:
        assert images(example).shape == (75, 64, 48, 3)
        assert example["landmarks"].shape == (75, 68, 2) and example["blink"].shape == (75,)
        assert example["audio"].shape == (48000,) and example["audio"].dtype == np.int16
        words = [word.decode() for word in example["words"]["text"]]
        assert " ".join(words) == example["transcript"].decode()
        assert max(example["phones"]["end"]) < 3 and min(example["phones"]["start"]) > 0.12


def test_the_still_has_open_eyes_and_a_closed_mouth(examples):
    for example in examples["train"]:
        marks = example["landmarks"][:3]
        assert example["blink"][0] == 0
        assert np.abs(marks[:, 66, 1] - marks[:, 62, 1]).max() < 0.2  # Inner lips.


def test_the_mouth_opens_where_it_sounds(examples):
    for example in examples["train"] + examples["test"]:
        gap = example["landmarks"][:, 66, 1] - example["landmarks"][:, 62, 1]
        power = np.square(example["audio"].astype(float).reshape(75, -1)).mean(1)
        assert np.corrcoef(gap, np.log(power + 900))[0, 1] > 0.6
        assert 4 < gap.max() < 9  # Pixels of 64 rows.


def test_frames_are_not_subsampled_in_colour(examples):
    data = np.frombuffer(examples["val"][0]["frames"][0], np.uint8)
    header = bytes(data[: bytes(data).index(b"\xff\xda")])
    frame = header.index(b"\xff\xc0")
    assert header[frame + 11] == 0x11  # Sampling factors of the luma: 1 x 1 is 4:4:4.


def test_the_number_of_workers_changes_nothing(tmp_path):
    def drawn(workers):
        builder = make_builder(tmp_path, workers, train_speakers=3)
        return list(builder._generate_examples("train"))

    for (key, one), (other_key, other) in zip(drawn(1), drawn(2), strict=True):
        assert key == other_key and one["frames"] == other["frames"]
        np.testing.assert_array_equal(one["audio"], other["audio"])
        np.testing.assert_array_equal(one["landmarks"], other["landmarks"])


def test_another_seed_is_another_corpus(tmp_path):
    builders = [make_builder(tmp_path, seed=seed) for seed in range(2)]
    (_, a), (_, b) = (next(builder._generate_examples("val")) for builder in builders)
    assert a["frames"][0] != b["frames"][0] and not np.array_equal(a["audio"], b["audio"])


def test_other_options_in_the_same_folder_are_refused(built):
    with pytest.raises(
        errors.UserError, match="seed=0, not 5: delete .* or choose another --data_dir"
    ):
        make_builder(built.data_path.parents[2], height=64, seed=5)


def test_an_empty_split_is_refused(tmp_path):
    with pytest.raises(errors.UserError, match="val_speakers=0"):
        make_builder(tmp_path, val_speakers=0)


def test_a_missing_espeak_is_a_users_mistake(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(errors.UserError, match="pip install"):
        make_builder(tmp_path).download_and_prepare()
