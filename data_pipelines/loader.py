"""Shards to batches: deterministic by seed and position, whatever the number of processes."""

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import grain
import grain.sharding
import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_pipelines import download, media, transforms
from data_pipelines.corpus import CorpusConfig
from data_pipelines.errors import UserError
from data_pipelines.media import is_remote

PAD = 25  # Frames.


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

    def __len__(self) -> int:
        return len(self.jpegs)

    @property
    def stride(self) -> int:
        """Samples a video frame."""
        return self.audio_rate // self.fps

    def decode(self, first: int, count: int) -> np.ndarray:
        """Frames first ... first + count, uint8 [count, H, W, 3] RGB."""
        return np.stack([media.decode_jpeg(jpeg) for jpeg in self.jpegs[first : first + count]])

    @functools.cached_property
    def frames(self) -> np.ndarray:
        """All frames, uint8 [T, H, W, 3] RGB."""
        return self.decode(0, len(self))


def _spans(spans: dict[str, Any]) -> list[tuple[str, float, float]]:
    rows = zip(spans["text"], spans["start"], spans["end"], strict=True)
    return [(text.decode(), float(start), float(end)) for text, start, end in rows]


def _clip(example: dict[str, Any]) -> Clip:
    return Clip(
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
    )


class Clips(Sequence):
    """The clips of one split, read from its shards as they are asked for."""

    def __init__(self, corpus: str, form: CorpusConfig, split: str, data_dir: epath.PathLike):
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
        self._source: Any = builder.as_data_source(split)
        # What `prepare` was restricted to; empty: nothing.
        self.only_speakers = tuple((builder.info.metadata or {}).get("speakers", ()))

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Clip:
        return _clip(self._source[index])


def open_clips(data: Mapping[str, Any], split: str, data_dir: epath.PathLike) -> Clips:
    """The clips of a config's `data` section.

    Raises UserError where they have not been prepared.
    """
    form = CorpusConfig(
        height=data["height"], width=data["width"], audio_rate=data["audio_rate"], fps=data["fps"]
    )
    clips = Clips(data["corpus"], form, split, data_dir)
    if set(data["speakers"]) != set(clips.only_speakers):
        raise UserError(
            f"the shards in {data_dir} hold the speakers {clips.only_speakers or 'all'}, and"
            f" --config.data.speakers={tuple(data['speakers'])} asks for others: give those, or"
            " prepare into another --data_dir"
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
    process: int = 0,
    processes: int = 1,
    workers: int = 0,
) -> grain.DatasetIterator:
    """An endless, checkpointable iterator of training batches; this process's share of each.

    One pass visits every clip, and with mirror every clip twice, once mirrored. A clip longer than
    clip_frames gives a random window. A batch holds the arrays of `transforms.training_window` with
    a leading batch axis, `clip` int32 [B], the clips' indices, and `place` uint32 [B], how many
    examples of the whole run came before: what is drawn at random for an example comes from its
    place, since processes hold the rows of a batch in another order than one process does. The
    iterator's state is one position, the same on every process, and valid for any number of them.
    """

    def load(index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        clip = clips[index % len(clips)]
        first = int(rng.integers(max(len(clip) - clip_frames, 0) + 1))
        mirrored = index >= len(clips)
        example = transforms.training_window(clip, first, clip_frames, window, mirrored)
        return example | {"clip": np.array(index % len(clips), np.int32)}

    order = grain.MapDataset.range(len(clips) * (2 if mirror else 1)).seed(seed).shuffle().repeat()
    examples = order.random_map(load).map_with_index(
        lambda place, example: example | {"place": np.array(place % 2**32, np.uint32)}
    )
    multiprocessing = grain.MultiprocessingOptions(num_workers=workers) if workers else None
    return iter(
        grain.experimental.ElasticIterator(
            examples,
            global_batch_size=batch_size,
            shard_options=grain.sharding.ShardOptions(process, processes),
            read_options=grain.ReadOptions(num_threads=2, prefetch_buffer_size=2 * batch_size),
            multiprocessing_options=multiprocessing,
        )
    )


def whole_clips(
    clips: Sequence[Clip], indices: Iterable[int], window: int, frames: int = 0
) -> dict[str, np.ndarray]:
    """Whole clips side by side as one batch, padded to at least `frames`.

    The length is a multiple of PAD, so that few shapes are compiled.
    """
    chosen = [clips[i] for i in indices]
    frames = -(-max(frames, *(len(clip) for clip in chosen)) // PAD) * PAD
    rows = [transforms.training_window(clip, 0, frames, window, mirror=False) for clip in chosen]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
