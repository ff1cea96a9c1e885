"""Batches of training examples, determined by seed and position for any number of processes."""

import collections
import functools
import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grain
import numpy as np

from data_pipelines.common.errors import CorruptRecord
from data_pipelines.loading import training_examples
from data_pipelines.loading.dataset import DatasetClip

PAD = 25  # Frames; batches of whole clips are padded to multiples of it.
# From clip, generator, whether to mirror, and the array for its frames or None, to arrays by name.
MakeExample = Callable[
    [DatasetClip, np.random.Generator, bool, np.ndarray | None], dict[str, np.ndarray]
]


def training_batches(
    clips: Sequence[DatasetClip],
    make_example: MakeExample,
    *,
    batch_size: int,
    mirror: bool,
    seed: int,
    max_corrupt: int = 0,
    process: int = 0,
    processes: int = 1,
    workers: int = 0,
    threads: int = 2,
    visits: Sequence[int] | None = None,
) -> grain.DatasetIterator:
    """Iterates over training batches without end; the iterator can be checkpointed.

    One pass makes all visits, and with mirror all of them twice, once mirrored. The next usable clip
    replaces a corrupt one (see `corrupt_clips`). Randomness of an example comes from its
    example_index, since processes hold the rows of a batch in another order than one process does.

    Args:
      clips: The data set.
      make_example: Makes one example of a clip.
      batch_size: Examples over all processes; a multiple of their number.
      mirror: Whether every visit is also made mirrored.
      seed: Seed of order and examples.
      max_corrupt: Corrupt clips in a row that are replaced; one more raises CorruptRecord.
      process: Index of this process.
      processes: Number of processes that share each batch.
      workers: Processes that read ahead; 0: threads of this process do.
      threads: Number of threads of each worker; 0: the caller decodes.
      visits: The clips of a pass, by index, such as `epoch_visits` lists; None: every clip once.

    Returns:
      An iterator of this process's share of each batch: the arrays of `make_example` with a leading
      batch axis; clip, the clips' indices, int32 [B]; requested_clip, int32 [B], the clips whose
      turn it was; example_index, uint32 [B], the number of examples before in the whole run. Its
      state is one position, the same on every process and valid for any number of them.
    """
    visited: Sequence[int] = range(len(clips)) if visits is None else visits

    def load(position: int, index: int, out: np.ndarray | None) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((seed, position))
        requested = visited[index % len(visited)]
        for number in range(max_corrupt + 1):
            chosen = (requested + number) % len(clips)
            try:
                example = make_example(clips[chosen], rng, index >= len(visited), out)
            except CorruptRecord:
                if number == max_corrupt:
                    raise
                continue
            return example | {
                "clip": np.int32(chosen),
                "requested_clip": np.int32(requested),
                "example_index": np.uint32(position % 2**32),
            }
        raise AssertionError("the last number returns or raises")

    buffers = _BufferPool()

    def batch(rows: Sequence[tuple[int, int]]) -> dict[str, np.ndarray]:
        return _stack(len(rows), lambda row, out: load(*rows[row], out), buffers)

    count = len(visited) * (2 if mirror else 1)
    order = grain.MapDataset.range(count).seed(seed).shuffle().repeat()
    positions = order.map_with_index(lambda position, index: (position, int(index)))
    return _Batches(positions, batch, batch_size, process, processes, workers, threads)


def epoch_visits(speakers: Sequence[str], balance: float) -> list[int]:
    """Lists the clips of an epoch, those of speakers with few clips several times.

    A speaker's share grows with the number n of its clips as n^(1 - balance), the smoothing that
    multilingual corpora are sampled with (Devlin 2018, https://github.com/google-research/bert).

    Args:
      speakers: Speaker of each clip.
      balance: 0: every clip once; 1: every speaker equally often, as far as whole numbers allow.

    Returns:
      Indices of clips, each at least once and in order; those of the speaker with most clips once.
    """
    counts = collections.Counter(speakers)
    most = max(counts.values(), default=0)
    repeats = {speaker: round((most / n) ** balance) for speaker, n in counts.items()}
    return [i for i, speaker in enumerate(speakers) for _ in range(repeats[speaker])]


class _Batches(grain.DatasetIterator):
    """Grain's ElasticIterator with the same state, but each batch is loaded as a whole.

    So frames are decoded into the memory of their batch.
    """

    def __init__(
        self,
        positions: grain.MapDataset,
        load: Callable[[Sequence[Any]], dict[str, np.ndarray]],
        batch_size: int,
        process: int,
        processes: int,
        workers: int,
        threads: int,
    ):
        super().__init__()
        self._positions, self._load, self._batch_size = positions, load, batch_size
        self._process, self._processes = process, processes
        self._workers = workers
        self._read_options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
        self._next = 0  # Position of the next batch's first example.

    @functools.cached_property
    def _iterator(self) -> grain.DatasetIterator:
        share = self._positions[self._next + self._process :: self._processes]
        size = self._batch_size // self._processes
        rows = share.batch(size, drop_remainder=True, batch_fn=list)
        batches = rows.map(self._load).to_iter_dataset(self._read_options)
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
        """Ends the threads and processes that read ahead."""
        if "_iterator" in self.__dict__:
            self._iterator.close()
            del self._iterator


class _BufferPool:
    """Allocates arrays of one shape in the memory of earlier ones that are no longer referenced.

    The system clears new memory, which takes a few percent of the time of decoding, in a virtual
    machine up to half.
    """

    def __init__(self):
        self._free: list[memoryview] = []

    def __call__(self, shape: tuple[int, ...]) -> np.ndarray:
        """Returns an uninitialised uint8 array."""
        try:
            memory = self._free.pop()  # Atomic, as threads may call at the same time.
        except IndexError:
            memory = np.empty(math.prod(shape), np.uint8).data
        array = np.frombuffer(memory, np.uint8)  # Views of it keep it alive.
        weakref.finalize(array, self._free.append, memory).atexit = False
        return array.reshape(shape)


def _stack(
    count: int,
    make_row: Callable[[int, np.ndarray | None], dict[str, np.ndarray]],
    allocate: Callable[[tuple[int, ...]], np.ndarray],
) -> dict[str, np.ndarray]:
    """Returns a batch of make_row(row, the array for its frames), its frames in one array."""
    first = make_row(0, None)
    frames = allocate((count, *first["frames"].shape))
    frames[0] = first["frames"]
    rows = [first, *(make_row(row, frames[row]) for row in range(1, count))]
    names = first.keys() - {"frames"}
    return {"frames": frames} | {name: np.stack([row[name] for row in rows]) for name in names}


def corrupt_clips(requested: np.ndarray, clip: np.ndarray, count: int) -> set[int]:
    """Finds the corrupt clips that a batch has skipped.

    Args:
      requested: The batch's requested_clip, [B].
      clip: The batch's clip, [B].
      count: Number of clips of the data set.

    Returns:
      The corrupt clips' indices.
    """
    pairs = zip(requested.tolist(), clip.tolist(), strict=True)
    return {(start + i) % count for start, used in pairs for i in range((used - start) % count)}


def batch_by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Groups clips of similar length into batches, so that there is little padding.

    Args:
      lengths: Frames of each clip.
      size: Largest size of a batch.

    Returns:
      Indices of clips, the longest first, so that a lack of memory shows at once.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    return [order[first : first + size] for first in range(0, len(order), size)]


def padded_length(frames: int) -> int:
    """Rounds a length up to one of few, since each is compiled.

    Args:
      frames: Number of frames of the longest clip of a batch.

    Returns:
      PAD times 1, 2, ... 8, 10, 12, 14, 16, 20, ...
    """
    step = PAD * 2 ** max(0, math.ceil(math.log2(frames / (8 * PAD))))
    return -(-frames // step) * step


def whole_clip_batch(
    clips: Sequence[DatasetClip], indices: Iterable[int], window: int, frames: int = 0
) -> dict[str, np.ndarray]:
    """Makes a batch of whole clips.

    Args:
      clips: The data set.
      indices: Indices of the batch's clips.
      window: Audio samples of a frame's window.
      frames: Length of the batch; 0: `padded_length` of the longest clip.

    Returns:
      The arrays of training_window with a leading batch axis.
    """
    chosen = [clips[i] for i in indices]
    frames = frames or padded_length(max(map(len, chosen)))

    def whole(row: int, out: np.ndarray | None) -> dict[str, np.ndarray]:
        return training_examples.training_window(chosen[row], 0, frames, window, False, out)

    return _stack(len(chosen), whole, functools.partial(np.empty, dtype=np.uint8))
