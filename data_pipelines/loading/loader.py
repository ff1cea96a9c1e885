"""Shards to batches: deterministic by seed and position, whatever the number of processes."""

import functools
import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grain
import numpy as np

from data_pipelines.common.errors import CorruptRecord
from data_pipelines.loading import training_examples
from data_pipelines.loading.dataset import ClipDataset, DatasetClip

PAD = 25  # Frames.
# clip, generator, mirrored, where to write its frames or None -> arrays, `frames` among them.
Example = Callable[
    [DatasetClip, np.random.Generator, bool, np.ndarray | None], dict[str, np.ndarray]
]


def training_batches(
    clips: ClipDataset,
    example: Example,
    *,
    batch_size: int,
    mirror: bool,
    seed: int,
    max_corrupt: int = 0,
    process: int = 0,
    processes: int = 1,
    workers: int = 0,
    threads: int = 2,
) -> grain.DatasetIterator:
    """An endless, checkpointable iterator of training batches; this process's share of each.

    One pass visits every clip, and with mirror every clip twice, once mirrored. A batch holds the
    arrays of `example` with a leading batch axis, `clip` int32 [B], the clips' indices,
    `requested_clip` int32 [B], those of the clips whose turn it was, and `example_index` uint32 [B],
    how many examples of the whole run came before: what is drawn at random for an example comes from
    its index, since processes hold the rows of a batch in another order than one process does. The
    iterator's state is one position, the same on every process, and valid for any number of them.

    The next clip that can be used stands in for a corrupt one (`corrupt_clips`); more than
    max_corrupt in a row raise CorruptRecord. threads: of each worker; 0: the caller decodes.
    """

    def load(place: int, index: int, out: np.ndarray | None) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((seed, place))
        asked = index % len(clips)
        for number in range(max_corrupt + 1):
            chosen = (asked + number) % len(clips)
            try:
                made = example(clips[chosen], rng, index >= len(clips), out)
            except CorruptRecord:
                if number == max_corrupt:
                    raise
                continue
            return made | {
                "clip": np.int32(chosen),
                "requested_clip": np.int32(asked),
                "example_index": np.uint32(place % 2**32),
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
    clips: Sequence[DatasetClip], indices: Iterable[int], window: int, frames: int = 0
) -> dict[str, np.ndarray]:
    """Whole clips side by side as one batch, padded to `frames`, or as far as `padded` says."""
    chosen = [clips[i] for i in indices]
    frames = frames or padded(max(map(len, chosen)))
    return _side_by_side(
        len(chosen),
        lambda row, out: training_examples.training_window(
            chosen[row], 0, frames, window, False, out
        ),
        functools.partial(np.empty, dtype=np.uint8),
    )
