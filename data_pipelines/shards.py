"""Which clip is in which shard, and files whose bytes depend on their examples alone."""

import hashlib
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core.utils import py_utils
from tensorflow_datasets.proto import tf_example_pb2

from data_pipelines.clips import RawClip

_SHARD_BYTES = 256 << 20  # About; while a shard is written, its examples are in memory.


class Writer(tfds.core.ExampleWriter):
    """array_record files: the same examples give the same bytes, and a file appears whole."""

    def __init__(self):
        super().__init__(tfds.core.FileFormat.ARRAY_RECORD)

    def write(self, path: os.PathLike | str, examples: Iterable[tuple[int, bytes]]) -> None:
        """Writes (key, serialized example) in this order."""
        same = ((key, _canonical(example)) for key, example in examples)
        with py_utils.incomplete_file(epath.Path(path)) as part:
            super().write(part, same)


def _canonical(example: bytes) -> bytes:
    """Protobuf orders a map otherwise in every process, unless it is told not to."""
    message: Any = tf_example_pb2
    return message.Example.FromString(example).SerializeToString(deterministic=True)


def plan(raws: Sequence[RawClip], sizes: Mapping[str, int]) -> list[list[RawClip]]:
    """The clips of each shard; `sizes` {id: bytes} and the ids alone decide."""
    order = sorted(raws, key=lambda raw: hashlib.sha256(raw.id.encode()).digest())
    ends = np.cumsum([sizes[raw.id] for raw in order])
    shard = (ends - 1) // -(-ends[-1] // max(1, round(ends[-1] / _SHARD_BYTES)))
    numbered = zip(shard, order, strict=True)
    groups = itertools.groupby(numbered, key=lambda pair: pair[0])
    return [[raw for _, raw in group] for _, group in groups]
