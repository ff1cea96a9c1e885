"""Shards to batches: deterministic by seed and position, whatever the number of processes."""

import bisect
import dataclasses
import functools
import itertools
import math
import re
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import cv2
import grain
import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_pipelines import download, media, transforms
from data_pipelines.corpus import CorpusConfig
from data_pipelines.errors import CorruptRecord, UserError
from data_pipelines.media import is_remote
from data_pipelines.transforms import Augmentation

PAD = 25  # Frames.
PLAIN = Augmentation()  # Of the paper: none.
TRAINED_ON = ("id", "fps", "frames", "audio", "audio_rate")  # Reading all takes 0.4 ms more a clip.


@dataclasses.dataclass(frozen=True)
class Clip:
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
                frame = media.decode_jpeg(jpeg)
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


def _clip(example: dict[str, Any], where: str) -> Clip:
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
    clip = Clip(
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


class Clips(Sequence):
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

    def __getitem__(self, index: int) -> Clip:
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


def open_clips(
    data: Mapping[str, Any], split: str, data_dir: epath.PathLike, features: Collection[str] = ()
) -> Clips:
    """The clips of a config's `data` section; features as in Clips.

    Raises UserError where they have not been prepared, or with other speakers or options.
    """
    form = CorpusConfig(
        height=data["height"], width=data["width"], audio_rate=data["audio_rate"], fps=data["fps"]
    )
    clips = Clips(data["corpus"], form, split, data_dir, features)
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


def training_batches(
    clips: Clips,
    *,
    batch_size: int,
    clip_frames: int,
    window: int,
    mirror: bool,
    seed: int,
    augment: Augmentation = PLAIN,
    max_corrupt: int = 0,
    process: int = 0,
    processes: int = 1,
    workers: int = 0,
    threads: int = 2,
) -> grain.DatasetIterator:
    """An endless, checkpointable iterator of training batches; this process's share of each.

    One pass visits every clip, and with mirror every clip twice, once mirrored. A clip longer than
    clip_frames gives a random window. A batch holds the arrays of `transforms.training_window` with
    a leading batch axis, `clip` int32 [B], the clips' indices, `asked` int32 [B], those of the clips
    whose turn it was, and `place` uint32 [B], how many examples of the whole run came before: what
    is drawn at random for an example comes from its place, since processes hold the rows of a batch
    in another order than one process does. The iterator's state is one position, the same on every
    process, and valid for any number of them.

    The next clip that can be used stands in for a corrupt one (`corrupt_clips`); more than
    max_corrupt in a row raise CorruptRecord. threads: of each worker; 0: the caller decodes.
    """

    def load(place: int, index: int, out: np.ndarray | None) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((seed, place))
        asked = index % len(clips)
        for number in range(max_corrupt + 1):
            chosen = (asked + number) % len(clips)
            try:
                clip = clips[chosen]
                if augment:
                    sound = augment(clip.audio, clip.audio_rate, rng)
                    clip = dataclasses.replace(clip, audio=sound)
                first = int(rng.integers(max(len(clip) - clip_frames, 0) + 1))
                mirrored = index >= len(clips)
                example = transforms.training_window(
                    clip, first, clip_frames, window, mirrored, out
                )
            except CorruptRecord:
                if number == max_corrupt:
                    raise
                continue
            return example | {
                "clip": np.int32(chosen),
                "asked": np.int32(asked),
                "place": np.uint32(place % 2**32),
            }
        raise AssertionError("the last number returns or raises")

    memory = _Memory()

    def batch(rows: Sequence[tuple[int, int]]) -> dict[str, np.ndarray]:
        return _side_by_side(len(rows), lambda row, out: load(*rows[row], out), memory)

    order = grain.MapDataset.range(len(clips) * (2 if mirror else 1)).seed(seed).shuffle().repeat()
    places = order.map_with_index(lambda place, index: (place, int(index)))
    return _Batches(places, batch, batch_size, process, processes, workers, threads)


class _Batches(grain.DatasetIterator):
    """Like Grain's ElasticIterator, whose state it keeps, but that a batch is loaded as one, so that
    its frames are decoded where they stay."""

    def __init__(
        self,
        places: grain.MapDataset,
        load: Callable[[Sequence[Any]], dict[str, np.ndarray]],
        batch_size: int,
        process: int,
        processes: int,
        workers: int,
        threads: int,
    ):
        super().__init__()
        self._places, self._load, self._batch_size = places, load, batch_size
        self._process, self._processes = process, processes
        self._workers = workers
        self._reading = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
        self._next = 0  # The place of the next batch's first example.

    @functools.cached_property
    def _iterator(self) -> grain.DatasetIterator:
        share = self._places[self._next + self._process :: self._processes]
        size = self._batch_size // self._processes
        rows = share.batch(size, drop_remainder=True, batch_fn=list)
        batches = rows.map(self._load).to_iter_dataset(self._reading)
        if self._workers:
            batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=self._workers))
        return iter(batches)

    def __next__(self) -> dict[str, np.ndarray]:
        batch = next(self._iterator)
        self._next += self._batch_size
        return batch

    def get_state(self) -> dict[str, Any]:
        return {"global_next_index": self._next}

    def set_state(self, state: dict[str, Any]) -> None:
        self.close()
        self._next = state["global_next_index"]

    def close(self) -> None:
        """The threads and processes that read ahead end."""
        if "_iterator" in self.__dict__:
            self._iterator.close()
            del self._iterator


class _Memory:
    """Arrays of one shape, in the memory of earlier ones that nobody has any more.

    The system clears what is new: a few percent of the decoding, in a virtual machine up to half.
    """

    def __init__(self):
        self._free: list[memoryview] = []

    def __call__(self, shape: tuple[int, ...]) -> np.ndarray:
        """uint8, its content undefined."""
        try:
            memory = self._free.pop()  # Threads may ask at the same time.
        except IndexError:
            memory = np.empty(math.prod(shape), np.uint8).data
        array = np.frombuffer(memory, np.uint8)  # Whoever has a view of it keeps it alive.
        weakref.finalize(array, self._free.append, memory).atexit = False
        return array.reshape(shape)


def _side_by_side(
    count: int,
    example: Callable[[int, np.ndarray | None], dict[str, np.ndarray]],
    memory: Callable[[tuple[int, ...]], np.ndarray],
) -> dict[str, np.ndarray]:
    """example(row, where its frames go) of every row -> one batch, its frames in `memory`."""
    first = example(0, None)
    frames = memory((count, *first["frames"].shape))
    frames[0] = first["frames"]
    rows = [first, *(example(row, frames[row]) for row in range(1, count))]
    others = first.keys() - {"frames"}
    return {"frames": frames} | {name: np.stack([row[name] for row in rows]) for name in others}


def corrupt_clips(asked: np.ndarray, clip: np.ndarray, count: int) -> set[int]:
    """Of a batch's `asked` and `clip` [B]: which of the corpus's `count` clips were passed over."""
    pairs = zip(asked.tolist(), clip.tolist(), strict=True)
    return {(start + i) % count for start, used in pairs for i in range((used - start) % count)}


def by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """The clips of these lengths in batches of at most `size`, so that little is padded.

    The longest first: what does not fit into memory is known at once.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    return [order[first : first + size] for first in range(0, len(order), size)]


def padded(frames: int) -> int:
    """The length that a batch of clips of at most so many frames is padded to.

    PAD times 1, 2, ... 8, 10, 12, 14, 16, 20, ...: few lengths, since each is compiled.
    """
    step = PAD * 2 ** max(0, math.ceil(math.log2(frames / (8 * PAD))))
    return -(-frames // step) * step


def whole_clips(
    clips: Sequence[Clip], indices: Iterable[int], window: int, frames: int = 0
) -> dict[str, np.ndarray]:
    """Whole clips side by side as one batch, padded to `frames`, or as far as `padded` says."""
    chosen = [clips[i] for i in indices]
    frames = frames or padded(max(map(len, chosen)))
    return _side_by_side(
        len(chosen),
        lambda row, out: transforms.training_window(chosen[row], 0, frames, window, False, out),
        functools.partial(np.empty, dtype=np.uint8),
    )
