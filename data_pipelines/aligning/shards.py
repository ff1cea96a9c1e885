"""Which clip is in which split and shard, and files whose bytes depend on their examples alone."""

import errno
import hashlib
import itertools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module  # pyright: ignore # A C extension.
from etils import epath
from tensorflow_datasets.core.utils import py_utils
from tensorflow_datasets.proto import tf_example_pb2

from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.common.errors import UserError

SHARD_BYTES = 256 << 20  # About; while a shard is written, its examples are in memory.


class ShardWriter(tfds.core.ExampleWriter):
    """array_record files: the same examples give the same bytes, and a file appears whole."""

    def __init__(self):
        super().__init__(tfds.core.FileFormat.ARRAY_RECORD)

    def write(self, path: os.PathLike | str, examples: Iterable[tuple[int, bytes]]) -> None:
        """Writes (key, serialized example) in this order.

        Uncompressed: JPEGs and sound lose 10 %, for six times the time to write and twice to read.

        Raises:
          OSError: the disk is full (array_record says RuntimeError).
        """
        try:
            with py_utils.incomplete_file(epath.Path(path)) as part:
                writer = array_record_module.ArrayRecordWriter(
                    os.fspath(part), "group_size:1,uncompressed"
                )
                for _, example in examples:
                    writer.write(_canonical(example))
                writer.close()
        except RuntimeError as e:
            if os.strerror(errno.ENOSPC) not in str(e):
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path)) from e


def _canonical(example: bytes) -> bytes:
    """Protobuf orders a map otherwise in every process, unless it is told not to."""
    message: Any = tf_example_pb2
    return message.Example.FromString(example).SerializeToString(deterministic=True)


def assign_splits(
    raws: Sequence[RawClip],
    splits: Mapping[str, Collection[str]],
    same: Iterable[tuple[str, str]],
    by: Literal["speaker", "id"] = "speaker",
) -> dict[str, list[RawClip]]:
    """The clips of each split that has any, by their speakers or ids, of which `splits` has those.

    Raises UserError where one of these is in two splits, or a recording: `same` has the pairs of
    clips' ids that are the same one.
    """
    split_of: dict[str, str] = {}
    for split, names in splits.items():
        for name in names:
            if split_of.setdefault(name, split) != split:
                raise UserError(
                    f"The {by} {name} is in two splits, {split_of[name]} and {split}: leave out one."
                )
    parts: dict[str, list[RawClip]] = {split: [] for split in splits}
    placed: dict[str, tuple[str, RawClip]] = {}
    for raw in raws:
        split = split_of.get(getattr(raw, by))
        if split is not None:
            parts[split].append(raw)
            placed[raw.id] = split, raw
    for pair in same:
        (split, raw), (other_split, other) = (placed.get(name, ("", None)) for name in pair)
        if raw and other and split != other_split:
            raise UserError(
                f"{raw.id} of {raw.speaker} ({split}) is the same recording as {other.id} of "
                f"{other.speaker} ({other_split}), and no recording may be in two splits: find "
                "out whose it is, and take the other one away."
            )
    return {split: part for split, part in parts.items() if part}


def plan_shards(raws: Sequence[RawClip], sizes: Mapping[str, int]) -> list[list[RawClip]]:
    """The clips of each shard; `sizes` {id: bytes} and the ids alone decide."""
    order = sorted(raws, key=lambda raw: hashlib.sha256(raw.id.encode()).digest())
    ends = np.cumsum([sizes[raw.id] for raw in order])
    shard = (ends - 1) // -(-ends[-1] // max(1, round(ends[-1] / SHARD_BYTES)))
    numbered = zip(shard, order, strict=True)
    groups = itertools.groupby(numbered, key=lambda pair: pair[0])
    return [[raw for _, raw in group] for _, group in groups]
