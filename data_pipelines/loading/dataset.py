"""The clips of prepared shards, read as they are asked for."""

import bisect
import dataclasses
import functools
import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_pipelines.common import download
from data_pipelines.common.errors import CorruptRecord, UserError
from data_pipelines.common.files import is_remote
from data_pipelines.contract import CorpusConfig
from data_pipelines.media import images

TRAINED_ON = ("id", "fps", "frames", "audio", "audio_rate")  # Reading all takes 0.4 ms more a clip.


@dataclasses.dataclass(frozen=True)
class DatasetClip:
    """One example, its frames still JPEG bytes until asked for."""

    id: str
    speaker: str
    transcript: str
    fps: int
    jpegs: Sequence[bytes]
    landmarks: np.ndarray  # float32 [T, 68, 2], pixels.
    blink: np.ndarray  # float32 [T]: 1 closed, NaN unknown.
    audio: np.ndarray  # int16 [T * stride].
    audio_rate: int
    words: list[tuple[str, float, float]]  # Text, start and end in seconds.
    phones: list[tuple[str, float, float]]
    where: str = "a record"  # Its number and its shard.

    def __len__(self) -> int:
        return len(self.jpegs)

    @property
    def stride(self) -> int:
        """Samples a video frame."""
        return self.audio_rate // self.fps

    def decode(
        self,
        first: int,
        count: int,
        room: int = 0,
        mirror: bool = False,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Frames first ... first + count and black ones up to `room`, uint8 [., H, W, 3] RGB.

        mirror: left to right. out: the array to write into. Raises CorruptRecord where a frame is
        no JPEG, or not of one size with the others.
        """
        for row, jpeg in enumerate(self.jpegs[first : first + count]):
            try:
                frame = images.decode_jpeg(jpeg)
                if out is None:
                    out = np.empty((max(count, room), *frame.shape), np.uint8)
                if frame.shape != out.shape[1:]:
                    raise ValueError(f"it has the shape {frame.shape}, not {out.shape[1:]}")
            except (ValueError, cv2.error) as error:
                raise _corrupt(self.where, f"frame {first + row} of {self.id}: {error}") from error
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


def _clip(example: dict[str, Any], where: str) -> DatasetClip:
    frames = len(example["frames"])
    unread = {  # What only TRAINED_ON lacks.
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
        where=where,
    )
    lengths = len(clip.blink), len(clip.landmarks), len(clip.audio) // clip.stride
    if not frames or lengths != (frames,) * 3:
        raise ValueError(
            f"{clip.id} has {frames} frames, and blinks, landmarks and sound of {lengths}"
        )
    return clip


def _corrupt(where: str, why: object) -> CorruptRecord:
    return CorruptRecord(
        f"{where} is damaged ({why}): delete the folder it is in and run `prepare` again"
    )


class ClipDataset(Sequence):
    """The clips of one split, read from its shards as they are asked for.

    features: those to read, at least TRAINED_ON; the clips have nothing, or NaN, for the others.
    """

    def __init__(
        self,
        corpus: str,
        form: CorpusConfig,
        split: str,
        data_dir: epath.PathLike,
        features: Collection[str] = (),
    ):
        root = epath.Path(data_dir) / corpus / form.name
        versions = {
            tuple(map(int, path.parent.name.split("."))): path.parent
            for path in root.glob("*/dataset_info.json")
            if re.fullmatch(r"\d+\.\d+\.\d+", path.parent.name)
        }
        if not versions:
            raise UserError(
                f"there are no {corpus} shards of the form {form.name} in {data_dir}:"
                " run `python -m s2f_jax.main prepare` with this config first"
            )
        folder = versions[max(versions)]
        if is_remote(folder):  # array_record reads local files alone.
            others = re.compile(rf"-(?!{split}\.)\w+\.array_record")
            folder = download.local_copy(folder, lambda name: not others.search(name))
        builder: Any = tfds.builder_from_directory(folder)
        if split not in builder.info.splits:
            have = ", ".join(builder.info.splits) or "none"
            raise UserError(f"the corpus {corpus} has no split {split!r} (it has: {have})")
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
        known = builder.info.features
        self._features: Any = tfds.features.FeaturesDict({n: known[n] for n in features or known})
        metadata = builder.info.metadata or {}
        # What `prepare` was restricted to; empty: nothing.
        self.only_speakers = tuple(metadata.get("speakers", ()))
        self.content = metadata  # As the corpus's builder has it: among others, its options.
        self._longest = metadata.get("longest", {}).get(split)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> DatasetClip:
        """Raises CorruptRecord."""
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        where = self.where(index)
        try:
            record = self._source.data_source[index]
            if record is None:  # Of a shard with a damaged index, beside the first that was asked.
                raise ValueError("nothing is found there")
            return _clip(self._features.deserialize_example_np(record), where)
        except Exception as error:  # What TFDS runs into where bytes are no example is of any kind.
            raise _corrupt(where, f"{type(error).__name__}: {error}") from error

    def where(self, index: int) -> str:
        """Which record of which shard a clip is."""
        shard = bisect.bisect_right(self._ends, index)
        number = index - (self._ends[shard - 1] if shard else 0)
        return f"record {number} of {self._folder / self._shards[shard]}"

    def fault(self, index: int) -> str:
        """What is wrong with a clip that could not be used."""
        try:
            self[index].decode(0, len(self[index]))
        except CorruptRecord as error:
            return str(error)
        return f"{self.where(index)} could not be read, and now it can"

    @property
    def longest(self) -> int:
        """Frames of the split's longest clip.

        Raises UserError where the shards do not say.
        """
        if self._longest is None:
            raise UserError(
                f"the shards in {self._folder} do not say how long their longest clip is: delete"
                " them and run `prepare` again, or give --config.clip_frames"
            )
        return self._longest


def open_dataset(
    data: Mapping[str, Any], split: str, data_dir: epath.PathLike, features: Collection[str] = ()
) -> ClipDataset:
    """The clips of a config's `data` section; features as in Clips.

    Raises UserError where they have not been prepared, or with other speakers or options.
    """
    form = CorpusConfig(
        height=data["height"], width=data["width"], audio_rate=data["audio_rate"], fps=data["fps"]
    )
    clips = ClipDataset(data["corpus"], form, split, data_dir, features)
    if set(data["speakers"]) != set(clips.only_speakers):
        raise UserError(
            f"the shards in {data_dir} hold the speakers {clips.only_speakers or 'all'}, and"
            f" --config.data.speakers={tuple(data['speakers'])} asks for others: give those, or"
            " prepare into another --data_dir"
        )
    for name, asked in data["options"].items():
        made = clips.content.get(name, asked)
        if made != asked and not isinstance(asked, str):  # A text names a file; its sum is kept.
            raise UserError(
                f"the shards in {data_dir} were made with {name}={made}, and"
                f" --config.data.options.{name}={asked} asks for others: give that, or prepare into"
                " another --data_dir"
            )
    return clips
