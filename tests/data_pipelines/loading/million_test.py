"""A corpus of a million clips opens, shuffles and seeks at once."""

import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from data_pipelines.loading import dataset, loader, training_examples
from tests import drawn_shards

COUNT = 1_000_000
MEASURE = """
import functools, json, sys, time
import psutil
from absl import flags
from data_pipelines.loading import dataset, loader, training_examples
from tests import drawn_shards

flags.FLAGS.mark_as_parsed()
small, large = (
    dict(batch_size=4, mirror=True, seed=0) | {"threads": n} for n in (0, 2)
)
def batches(root, options):
    clips = dataset.ClipDataset("drawn", drawn_shards.FORM, "train", root)
    example = functools.partial(training_examples.training_example, frames=1, window=60)
    return loader.training_batches(clips, example, **options)
next(batches(sys.argv[1], small))  # What is imported and started once.
process = psutil.Process()
before, start = process.memory_info().rss, time.perf_counter()
iterator = batches(sys.argv[2], large)
first = next(iterator)
opened = time.perf_counter()
iterator.set_state({"global_next_index": 1_234_568_000})
far = next(iterator)
sought = time.perf_counter()
iterator.close()
grown = process.memory_info().rss - before
print(json.dumps([opened - start, sought - opened, grown, first["example_index"].tolist(),
                  far["example_index"].tolist(), far["clip"].tolist()]))
"""


def of_million(root, folder):
    """The folder's one training record a million times over, known to TFDS as that many."""
    path = drawn_shards.shard(root)
    record = ArrayRecordReader(str(path)).read([0])[0]
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for _ in range(COUNT):
        writer.write(record)
    writer.close()
    info = json.loads((folder / "dataset_info.json").read_text())
    (train,) = (split for split in info["splits"] if split["name"] == "train")
    train["shardLengths"] = [str(COUNT)]
    (folder / "dataset_info.json").write_text(json.dumps(info))


@pytest.mark.slow
def test_a_million_clips_cost_no_more_than_a_few_to_start(tmp_path):
    drawn_shards.write(tmp_path / "small", train=[1])
    of_million(tmp_path / "large", drawn_shards.write(tmp_path / "large", train=[1]))
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "small"), str(tmp_path / "large")],
        env={**os.environ, "PYTHONPATH": "."},
        check=True,
        capture_output=True,
    )
    opening, seeking, grown, first, far, clips = json.loads(result.stdout.splitlines()[-1])
    print(f"open and first batch {opening:.2f} s, seek {seeking:.2f} s, {grown / 1e6:.0f} MB")
    assert (first, far) == ([0, 1, 2, 3], list(range(1_234_568_000, 1_234_568_004)))
    assert max(clips) > 1000
    assert max(opening, seeking) < 1 and grown < 500e6


def test_nothing_is_read_before_it_is_needed(tmp_path, monkeypatch):
    """Opening and seeking touch no record; a batch touches its own and what is read ahead."""
    drawn_shards.write(tmp_path, train=[1] * 64)
    clips, read = dataset.ClipDataset("drawn", drawn_shards.FORM, "train", tmp_path), []
    get = dataset.ClipDataset.__getitem__

    def counted(self, index):
        if self is clips:  # Other tests' iterators may still read ahead.
            read.append(index)
        return get(self, index)

    monkeypatch.setattr(dataset.ClipDataset, "__getitem__", counted)
    example = functools.partial(training_examples.training_example, frames=1, window=60)
    iterator = loader.training_batches(clips, example, batch_size=4, mirror=True, seed=0, threads=0)
    iterator.set_state({"global_next_index": 4 * 10**9})
    assert not read
    batch = next(iterator)
    np.testing.assert_array_equal(read, batch["clip"])
    iterator.close()
