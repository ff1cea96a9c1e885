import collections
import errno
import itertools
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from array_record.python import array_record_module

from data_pipelines import contract
from data_pipelines.aligning import align_clip, shards
from data_pipelines.common.errors import UserError
from tests.programs import ROOT

FEATURES = contract.features()
SERIALIZE = """
import sys
from tests.data_pipelines.aligning import shards_test
shards_test.write(sys.argv[1], int(sys.argv[2]))
"""


def raw_clip(name, speaker="s1"):
    return align_clip.RawClip(name, speaker, pathlib.Path(name), "1")


def example(k):
    rng = np.random.default_rng(k)
    return {
        "id": f"s1_{k}",
        "speaker": "s1",
        "transcript": "bin blue",
        "fps": 25.0,
        "words": [{"text": "bin", "start": 0.0, "end": 0.5}],
        "phones": [],
        "blink": np.array([0.5, np.nan], np.float32),
        "frames": [rng.bytes(50), rng.bytes(70)],
        "landmarks": rng.normal(size=(2, 68, 2)).astype(np.float32),
        "audio": rng.integers(-9, 9, 1280).astype(np.int16),
        "audio_rate": 16000,
    }


def write(path, count):
    examples = ((k, FEATURES.serialize_example(example(k))) for k in range(count))
    shards.ShardWriter().write(path, examples)


@pytest.mark.slow
def test_every_process_writes_the_same_bytes(tmp_path):
    root = ROOT
    for name in "abcd":
        command = [sys.executable, "-c", SERIALIZE, tmp_path / name, "3"]
        subprocess.run(command, cwd=root, check=True)
    assert len({(tmp_path / name).read_bytes() for name in "abcd"}) == 1


def test_a_shard_holds_what_was_written(tmp_path):
    write(tmp_path / "shard", 3)
    reader = array_record_module.ArrayRecordReader(str(tmp_path / "shard"))
    read = [FEATURES.deserialize_example_np(record) for record in reader.read_all()]
    reader.close()
    assert [row["id"] for row in read] == [b"s1_0", b"s1_1", b"s1_2"]
    for row, k in zip(read, range(3), strict=True):
        assert list(row["frames"]) == example(k)["frames"]
        np.testing.assert_array_equal(row["landmarks"], example(k)["landmarks"])


def test_a_shard_that_fails_leaves_nothing(tmp_path):
    def examples():
        yield 0, FEATURES.serialize_example(example(0))
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        shards.ShardWriter().write(tmp_path / "shard", examples())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_raises_enospc(tmp_path, monkeypatch):
    def full(path, *_):
        raise RuntimeError(f"write() failed: No space left on device; writing {path}")

    monkeypatch.setattr(array_record_module, "ArrayRecordWriter", full)
    with pytest.raises(OSError) as raised:
        write(tmp_path / "shard", 1)
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(tmp_path / "shard")


def test_the_shard_of_a_clip_depends_on_ids_and_sizes_alone(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 1000)
    rng = np.random.default_rng(0)
    clips = [raw_clip(f"s1_{k}") for k in range(200)]
    sizes = {
        clip.id: int(size) for clip, size in zip(clips, rng.integers(50, 150, 200), strict=True)
    }
    planned = shards.plan_shards(clips, sizes)
    assert planned == shards.plan_shards([clips[i] for i in rng.permutation(200)], sizes)
    assert sorted(clip.id for part in planned for clip in part) == sorted(sizes)
    assert len(planned) == round(sum(sizes.values()) / 1000)
    assert all(800 < sum(sizes[clip.id] for clip in part) < 1200 for part in planned)
    assert [clip for part in planned for clip in part] != clips  # Not in the order of the corpus.


def test_a_clip_larger_than_a_shard_has_one_of_its_own(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 1000)
    sizes = {"a": 5000, "b": 10, "c": 10}
    planned = shards.plan_shards([raw_clip(name) for name in sizes], sizes)
    assert sorted(clip.id for part in planned for clip in part) == ["a", "b", "c"]
    assert 1 <= len(planned) <= 3 and all(planned)


def test_no_speaker_and_no_recording_is_ever_in_two_splits():
    rng, refused = np.random.default_rng(0), 0
    for _ in range(300):
        clips = [raw_clip(f"c{k}", f"s{rng.integers(9)}") for k in range(rng.integers(1, 9))]
        content = {clip.id: int(rng.integers(20)) for clip in clips}
        pairs = itertools.combinations(content, 2)
        duplicates = [(a, b) for a, b in pairs if content[a] == content[b]]
        splits = {
            name: {f"s{s}" for s in rng.choice(9, rng.integers(0, 4), replace=False)}
            for name in ("train", "val", "test")
        }
        # By definition: where each speaker and each recording would go.
        homes = collections.defaultdict(set)
        for split, speakers in splits.items():
            for speaker in speakers:
                homes[speaker].add(split)
            for clip in clips:
                if clip.speaker in speakers:
                    homes[content[clip.id]].add(split)
        if any(len(home) > 1 for home in homes.values()):
            refused += 1
            with pytest.raises(UserError, match="in two splits"):
                shards.assign_splits(clips, splits, duplicates)
            continue
        parts = shards.assign_splits(clips, splits, duplicates)
        assert all(parts.values())
        for clip in clips:
            assigned = {split for split, part in parts.items() if clip in part}
            assert assigned == homes.get(clip.speaker, set())
    assert 50 < refused < 250


def test_a_recording_in_two_splits_names_both():
    clips = [raw_clip("s1_a", "s1"), raw_clip("s2_b", "s2")]
    duplicates = [("s2_b", "s1_a")]
    with pytest.raises(UserError, match=r"s2_b of s2 \(test\) is the same .* s1_a of s1 \(train\)"):
        shards.assign_splits(clips, {"train": ["s1"], "test": ["s2"]}, duplicates)
    assert shards.assign_splits(clips, {"train": ["s1", "s2"]}, duplicates) == {"train": clips}
    assert shards.assign_splits(clips, {"train": ["s1"]}, duplicates) == {"train": clips[:1]}


def test_splits_may_name_clips():
    clips = [raw_clip("a"), raw_clip("b")]
    splits = {"train": ["a"], "test": ["b"]}
    assert shards.assign_splits(clips, splits, [], by="id") == {
        "train": clips[:1],
        "test": clips[1:],
    }
    with pytest.raises(UserError, match="b of s1 .test. is the same recording as a of s1"):
        shards.assign_splits(clips, splits, [("b", "a")], by="id")
