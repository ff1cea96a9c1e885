"""The clips of prepared shards, each read from disk when it is indexed."""

import bisect
import dataclasses
import functools
import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, overload

import cv2
import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.common import download
from data_pipelines.common.errors import CorruptRecord, UserError
from data_pipelines.common.files import is_remote
from data_pipelines.contract import CorpusConfig
from data_pipelines.media import images

# Reading all features takes 0.4 ms more a clip.
TRAINING_FEATURES = ("id", "fps", "frames", "audio", "audio_rate")


@dataclasses.dataclass(frozen=True)
class DatasetClip:
    """One example of T frames, which stay JPEG bytes until they are decoded.

    Attributes:
      id: Unique in the corpus.
      speaker: The speaker's name.
      transcript: The words; may be empty.
      fps: Frame rate in frames/s.
      jpegs: The T frames.
      landmarks: iBUG points, float32 [T, 68, 2], pixels.
      blink: float32 [T]; 1 closed, NaN unknown.
      audio: int16 [T * stride].
      audio_rate: Sampling rate in Hz.
      words: Text, start and end in seconds; may be empty.
      phones: Phones in the same form.
      location: The number of the record and its shard, for messages.
    """

    id: str
    speaker: str
    transcript: str
    fps: int
    jpegs: Sequence[bytes]
    landmarks: np.ndarray
    blink: np.ndarray
    audio: np.ndarray
    audio_rate: int
    words: list[tuple[str, float, float]]
    phones: list[tuple[str, float, float]]
    location: str = "a record"

    def __len__(self) -> int:
        return len(self.jpegs)

    @property
    def stride(self) -> int:
        """Audio samples per video frame."""
        return self.audio_rate // self.fps

    def decode(
        self,
        first: int,
        count: int,
        length: int = 0,
        mirror: bool = False,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Decodes consecutive frames, and pads them with black ones.

        Args:
          first: The first frame.
          count: Number of frames that are decoded, 1 or more.
          length: Length of the result, where it is more than `count`.
          mirror: Whether left and right are swapped.
          out: The array to write into, uint8 [max(count, length), H, W, 3]; None: a new one.

        Returns:
          RGB, uint8 [max(count, length), H, W, 3].

        Raises:
          CorruptRecord: A frame is not a JPEG, or its size is not that of the others.
        """
        for row, jpeg in enumerate(self.jpegs[first : first + count]):
            name = f"frame {first + row} of {self.id}"
            try:
                frame = images.decode_jpeg(jpeg)
            except (ValueError, cv2.error) as error:
                raise CorruptRecord(_damage(self.location, f"{name}: {error}")) from error
            if out is None:
                out = np.empty((max(count, length), *frame.shape), np.uint8)
            if frame.shape != out.shape[1:]:
                reason = f"{name}: it has the shape {frame.shape}, not {out.shape[1:]}"
                raise CorruptRecord(_damage(self.location, reason))
            if mirror:
                cv2.flip(frame, 1, out[row])  # NumPy takes four times as long.
            else:
                out[row] = frame
        assert out is not None
        out[count:] = 0
        return out

    @functools.cached_property
    def frames(self) -> np.ndarray:
        """All frames, uint8 [T, H, W, 3] RGB."""
        return self.decode(0, len(self))


_NO_SPANS: dict[str, Any] = {"text": (), "start": (), "end": ()}


def _spans(spans: dict[str, Any]) -> list[tuple[str, float, float]]:
    rows = zip(spans["text"], spans["start"], spans["end"], strict=True)
    return [(text.decode(), float(start), float(end)) for text, start, end in rows]


def _clip(features: Any, record: bytes | None, location: str) -> DatasetClip:
    if record is None:  # Of a shard with a damaged index, after the first request.
        raise ValueError("it is empty")
    example = features.deserialize_example_np(record)
    frames = len(example["frames"])
    unread = {  # The features that TRAINING_FEATURES lacks.
        "speaker": b"",
        "transcript": b"",
        "landmarks": np.full((frames, 68, 2), np.nan, np.float32),
        "blink": np.full(frames, np.nan, np.float32),
        "words": _NO_SPANS,
        "phones": _NO_SPANS,
    }
    example = unread | example
    clip = DatasetClip(
        id=example["id"].decode(),
        speaker=example["speaker"].decode(),
        transcript=example["transcript"].decode(),
        fps=round(float(example["fps"])),
        jpegs=example["frames"],
        landmarks=example["landmarks"],
        blink=example["blink"],
        audio=example["audio"],
        audio_rate=int(example["audio_rate"]),
        words=_spans(example["words"]),
        phones=_spans(example["phones"]),
        location=location,
    )
    lengths = len(clip.blink), len(clip.landmarks), len(clip.audio) // clip.stride
    if not frames or lengths != (frames,) * 3:
        raise ValueError(
            f"{clip.id} has {frames} frames, but blinks, landmarks and sound of {lengths}"
        )
    return clip


def _damage(location: str, reason: str) -> str:
    return f"{location} is damaged ({reason}): delete its folder and run `prepare` again"


class ClipDataset(Sequence[DatasetClip]):
    """The clips of one split, each read from its shard when it is indexed.

    Args:
      corpus: The corpus's name.
      config: The form of the examples, which names the folder.
      split: train, val or test.
      data_dir: Folder or address of the shards.
      features: Features to read, at least TRAINING_FEATURES; (): all. For the others, clips have
        empty values or NaN.
      minutes: Length of the clips that are used, the first ones of the shards, whose order is that of
        hashed ids: fewer minutes are a part of more. 0: all clips.

    Attributes:
      speakers: Speakers that `prepare` was restricted to; (): all.
      metadata: Metadata of the shards: the corpus's options, among others.

    Raises:
      UserError: The shards or some of them are missing, there is no such split, or fewer minutes
        are in it.
    """

    def __init__(
        self,
        corpus: str,
        config: CorpusConfig,
        split: str,
        data_dir: epath.PathLike,
        features: Collection[str] = (),
        minutes: float = 0.0,
    ):
        root = epath.Path(data_dir) / corpus / config.name
        versions = {
            tuple(map(int, path.parent.name.split("."))): path.parent
            for path in root.glob("*/dataset_info.json")
            if re.fullmatch(r"\d+\.\d+\.\d+", path.parent.name)
        }
        if not versions:
            raise UserError(
                f"there are no {corpus} shards of the form {config.name} in {data_dir}:"
                " run `s2f prepare` with this config first"
            )
        folder = versions[max(versions)]
        if is_remote(folder):  # array_record reads only local files.
            other_split = re.compile(rf"-(?!{split}\.)\w+\.array_record")
            folder = download.local_copy(folder, lambda name: not other_split.search(name))
        builder: Any = tfds.builder_from_directory(folder)
        if split not in builder.info.splits:
            names = ", ".join(builder.info.splits) or "none"
            raise UserError(f"the corpus {corpus} has no split {split!r} (it has: {names})")
        shards = builder.info.splits[split].file_instructions
        self._shards = [epath.Path(shard.filename).name for shard in shards]
        self._ends = list(itertools.accumulate(shard.take for shard in shards))
        self._folder, self._split = folder, split
        if missing := set(self._shards) - {path.name for path in folder.iterdir()}:
            raise UserError(
                f"{folder} lacks {len(missing)} of the {len(shards)} shards of {split}, e.g."
                f" {min(missing)}: copy it there, or delete the folder and run `prepare` again"
            )
        self._source: Any = builder.as_data_source(split)
        self._known: Any = builder.info.features
        self._features = self._only(features or self._known)
        self.metadata = builder.info.metadata or {}
        self.speakers = tuple(self.metadata.get("speakers", ()))
        self._longest = self.metadata.get("longest", {}).get(split)
        self._count = len(self._source)
        if minutes:
            self._use_first(minutes)

    def _use_first(self, minutes: float) -> None:
        # Reads these clips once, to know their lengths; a damaged one counts as none.
        lengths, seconds = [], 0.0
        while seconds < 60 * minutes:
            if len(lengths) == len(self):
                raise UserError(
                    f"--config.data.train_minutes={minutes:g}: the split {self._split} has"
                    f" {seconds / 60:.1f} minutes; give fewer, or 0 for all of it"
                )
            try:
                clip = self[len(lengths)]
                lengths.append(len(clip))
                seconds += len(clip) / clip.fps
            except CorruptRecord:
                lengths.append(0)
        self._count, self._longest = len(lengths), max(lengths)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> DatasetClip: ...
    @overload
    def __getitem__(self, index: slice) -> list[DatasetClip]: ...
    def __getitem__(self, index: int | slice) -> DatasetClip | list[DatasetClip]:
        """Reads a clip or several.

        Args:
          index: Index in [0, len(self)), or a slice.

        Returns:
          The clip, or a list of a slice's clips.

        Raises:
          CorruptRecord: The record is damaged.
          IndexError: There is no such clip.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        location = self.location(index)
        try:
            return _clip(self._features, self._source.data_source[index], location)
        except Exception as error:  # TFDS raises errors of any kind for bytes that are no example.
            reason = f"{type(error).__name__}: {error}"
            raise CorruptRecord(_damage(location, reason)) from error

    def _only(self, names: Iterable[str]) -> Any:
        return tfds.features.FeaturesDict({name: self._known[name] for name in names})

    def speaker_of_clips(self) -> list[str]:
        """Reads the speaker of every clip, and so all records once.

        Returns:
          Names by index; "" for a damaged record.
        """
        features, speakers = self._only(["speaker"]), []
        for index in range(len(self)):
            try:
                record = self._source.data_source[index]
                speakers.append(features.deserialize_example_np(record)["speaker"].decode())
            except Exception:  # Of any kind; whoever asks for the clip itself learns why.
                speakers.append("")
        return speakers

    def location(self, index: int) -> str:
        """Names the record and the shard of a clip.

        Args:
          index: The clip.

        Returns:
          "record 3 of PATH".
        """
        shard = bisect.bisect_right(self._ends, index)
        number = index - (self._ends[shard - 1] if shard else 0)
        return f"record {number} of {self._folder / self._shards[shard]}"

    def fault(self, index: int) -> str:
        """Explains why a clip could not be used.

        Args:
          index: The clip.

        Returns:
          A sentence that names its record.
        """
        try:
            self[index].decode(0, len(self[index]))
        except CorruptRecord as error:
            return str(error)
        return f"{self.location(index)} could not be read, and now it can"

    @property
    def longest(self) -> int:
        """Frames of the split's longest clip.

        Raises:
          UserError: The shards' metadata lacks it.
        """
        if self._longest is None:
            raise UserError(
                f"the metadata of the shards in {self._folder} lacks the length of the longest"
                " clip: delete them and run `prepare` again, or give --config.clip_frames"
            )
        return self._longest


def open_dataset(
    data: Mapping[str, Any], split: str, data_dir: epath.PathLike, features: Collection[str] = ()
) -> ClipDataset:
    """Opens a split of the shards that a config describes; of train, what train_minutes says.

    Args:
      data: The config's section `data`.
      split: train, val or test.
      data_dir: Folder or address of the shards.
      features: Names of the features that are read, as in ClipDataset.

    Returns:
      The clips.

    Raises:
      UserError: There are no such shards, they were made with other speakers or options, or train
        has fewer minutes than data.train_minutes.
    """
    config = CorpusConfig(**{name: data[name] for name in ("height", "width", "audio_rate", "fps")})
    minutes = data["train_minutes"] if split == "train" else 0.0
    clips = ClipDataset(data["corpus"], config, split, data_dir, features, minutes)
    if set(data["speakers"]) != set(clips.speakers):
        raise UserError(
            f"--config.data.speakers={tuple(data['speakers'])}: the shards in {data_dir} were made"
            f" with {clips.speakers or 'all'}; give those, or prepare into another --data_dir"
        )
    options = dict(data["options"])
    if "clip_list" in clips.metadata:  # Of GRID, all clips by default.
        options.setdefault("clip_list", "")
    for name, value in options.items():
        # A switch or a name that is newer than the shards was off or empty.
        before = type(value)() if isinstance(value, (bool, str)) else value
        made = clips.metadata.get(name, before)
        if made != value and name != "csv":  # That names a file, whose digest is saved.
            raise UserError(
                f"--config.data.options.{name}={value}: the shards in {data_dir} were made with"
                f" {name}={made}; give that, or prepare into another --data_dir"
            )
    return clips
