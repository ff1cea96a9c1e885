"""Assigns clips to splits and shards, and writes shards reproducibly."""

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
from tensorflow_datasets.core.utils import py_utils, type_utils
from tensorflow_datasets.proto import tf_example_pb2

from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.common.errors import UserError

SHARD_BYTES = 256 << 20  # Approximate; while a shard is written, its examples are in memory.


class ShardWriter(tfds.core.ExampleWriter):
    """Writes array_record files: equal examples give equal bytes, and a file appears whole."""

    def __init__(self):
        super().__init__(tfds.core.FileFormat.ARRAY_RECORD)

    def write(
        self, path: epath.PathLike, examples: Iterable[type_utils.KeySerializedExample]
    ) -> None:
        """Writes a shard, uncompressed.

        Compression would save 10 %, for six times the time to write and twice the time to read.

        Args:
          path: The shard.
          examples: Keys, which are ignored, and serialized examples, in the order to write.

        Raises:
          OSError: The disk is full.
          RuntimeError: Any other failure of array_record, which raises it for a full disk, too.
        """
        try:
            with py_utils.incomplete_file(epath.Path(path)) as part:
                options = "group_size:1,uncompressed"
                writer = array_record_module.ArrayRecordWriter(os.fspath(part), options)
                for _, example in examples:
                    writer.write(_canonical(example))
                writer.close()
        except RuntimeError as e:
            if os.strerror(errno.ENOSPC) not in str(e):
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path)) from e


def assign_splits(
    clips: Sequence[RawClip],
    splits: Mapping[str, Collection[str]],
    duplicates: Iterable[tuple[str, str]],
    by: Literal["speaker", "id"] = "speaker",
) -> dict[str, list[RawClip]]:
    """Assigns every clip to the split of its speaker, or of its id.

    Args:
      clips: The clips.
      splits: Speakers (or ids) by split.
      duplicates: Pairs of ids of clips that are the same recording.
      by: What `splits` holds.

    Returns:
      The clips of each split that has any.

    Raises:
      UserError: A speaker, an id or a recording is in two splits.
    """
    split_of: dict[str, str] = {}
    for split, names in splits.items():
        for name in names:
            if split_of.setdefault(name, split) != split:
                raise UserError(
                    f"The {by} {name} is in two splits, {split_of[name]} and {split}: remove one."
                )
    clips_of: dict[str, list[RawClip]] = {split: [] for split in splits}
    assigned: dict[str, tuple[str, RawClip]] = {}
    for clip in clips:
        split = split_of.get(getattr(clip, by))
        if split is not None:
            clips_of[split].append(clip)
            assigned[clip.id] = split, clip
    for pair in duplicates:
        (split, clip), (other_split, other) = (assigned.get(name, ("", None)) for name in pair)
        if clip and other and split != other_split:
            raise UserError(
                f"{clip.id} of {clip.speaker} ({split}) is the same recording as {other.id} of "
                f"{other.speaker} ({other_split}), and no recording may be in two splits: find "
                "out whose it is, and remove the other one."
            )
    return {split: split_clips for split, split_clips in clips_of.items() if split_clips}


def plan_shards(clips: Sequence[RawClip], sizes: Mapping[str, int]) -> list[list[RawClip]]:
    """Distributes the clips of a split over shards of about SHARD_BYTES, in an order of hashed ids.

    Args:
      clips: The clips, in any order.
      sizes: {id: bytes}; these and the ids alone decide.

    Returns:
      The clips of each shard.
    """
    order = sorted(clips, key=lambda clip: hashlib.sha256(clip.id.encode()).digest())
    ends = np.cumsum([sizes[clip.id] for clip in order])
    shard = (ends - 1) // -(-ends[-1] // max(1, round(ends[-1] / SHARD_BYTES)))
    numbered = zip(shard, order, strict=True)
    groups = itertools.groupby(numbered, key=lambda pair: pair[0])
    return [[clip for _, clip in group] for _, group in groups]


def _canonical(example: bytes) -> bytes:
    """Returns the example with the entries of its maps in a fixed order.

    Protobuf orders a map differently in every process, unless it is told not to.
    """
    message: Any = tf_example_pb2
    return message.Example.FromString(example).SerializeToString(deterministic=True)
