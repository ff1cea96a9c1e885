"""Many clips: spread over processes, each cached on disk, so that an interrupted run goes on."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import io
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool

import cv2
import numpy as np
import tqdm
from etils import epath

from data_pipelines import clips, duplicates, faces, files, track
from data_pipelines.clips import AlignedClip, RawClip
from data_pipelines.corpus import CorpusConfig
from data_pipelines.errors import BadClip

_SECONDS_PER_LINE = 10  # Of progress, where there is no terminal.
_CONTENT = ("jpegs.npy", "audio.npy")  # Of a cached clip.
_VERSION = 2  # Of what Cache.save keeps, fingerprint and all; a new one makes every clip again.


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a builder has to know of every aligned clip at once."""

    frames: int
    size: int  # Bytes, about those of the example.
    content: tuple[tuple[int, int], ...]  # CRC-32 and size of pictures and sound.
    fingerprint: duplicates.Fingerprint


class Cache:
    """Aligned clips and reasons of quarantine, a file each, named by all that they depend on."""

    def __init__(self, root: str | os.PathLike, form: CorpusConfig):
        self.root = epath.Path(root)
        self.form = form

    def path(self, raw: RawClip, suffix: str) -> epath.Path:
        """Where the clip's "npz" (aligned) or "bad" (the reason) is or would be."""
        return self.root / raw.speaker / f"{self._stem(raw)}.{suffix}"

    def _stem(self, raw: RawClip) -> str:
        key = (
            f"{self.form.name} {clips.VERSION}.{_VERSION} {self.form.max_seconds} {raw.stamp} "
            f"{raw.frame_count} {raw.start} {raw.end}"
        )
        return f"{raw.id}.{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    def _there(self, raws: Sequence[RawClip]) -> set[str]:
        """The names of all files in the folders of these clips, at the cost of a listing each."""
        folders = [self.root / speaker for speaker in {raw.speaker for raw in raws}]
        return {file.name for folder in folders if folder.exists() for file in folder.iterdir()}

    def missing(self, raws: Sequence[RawClip]) -> list[RawClip]:
        """Those of which nothing is known yet."""
        there = self._there(raws)
        stems = {name.removesuffix(".npz").removesuffix(".bad") for name in there}
        return [raw for raw in raws if self._stem(raw) not in stems]

    def reasons(self, raws: Sequence[RawClip]) -> dict[str, str]:
        """{id: why} of those that are quarantined."""
        there = self._there(raws)
        bad = [raw for raw in raws if f"{self._stem(raw)}.bad" in there]
        return {raw.id: self.path(raw, "bad").read_text() for raw in bad}

    def save(self, raw: RawClip, aligned: AlignedClip) -> None:
        """Keeps an aligned clip."""
        buffer = io.BytesIO()
        fingerprint = duplicates.fingerprint(aligned.audio, self.form.audio_rate, aligned.jpegs)
        np.savez(
            buffer,
            jpegs=np.frombuffer(b"".join(aligned.jpegs), np.uint8),
            sizes=[len(jpeg) for jpeg in aligned.jpegs],
            landmarks=aligned.landmarks,
            blink=aligned.blink,
            audio=aligned.audio,
            **dataclasses.asdict(fingerprint),
        )
        files.write_atomically(self.path(raw, "npz"), buffer.getvalue())

    def load(self, raw: RawClip) -> AlignedClip:
        """A clip that was kept."""
        with np.load(io.BytesIO(self.path(raw, "npz").read_bytes())) as kept:
            jpegs, ends = kept["jpegs"].tobytes(), np.cumsum(kept["sizes"])
            return AlignedClip(
                jpegs=[jpegs[a:b] for a, b in itertools.pairwise([0, *ends])],
                landmarks=kept["landmarks"],
                blink=kept["blink"],
                audio=kept["audio"],
            )

    def facts(self, raw: RawClip) -> Facts:
        """What is known of a clip that was kept, without reading its frames and sound."""
        with self.path(raw, "npz").open("rb") as file, np.load(file) as kept:
            members = kept.zip.infolist()  # With the check sums of what they hold.
            sums = [(m.CRC, m.file_size) for m in members if m.filename in _CONTENT]
            size = sum(m.file_size for m in members)
            fingerprint = duplicates.Fingerprint(kept["words"], kept["picture"])
            return Facts(len(kept["sizes"]), size, tuple(sums), fingerprint)

    def save_reason(self, raw: RawClip, reason: str) -> None:
        """Keeps why a clip is quarantined."""
        files.write_atomically(self.path(raw, "bad"), reason.encode())


def same_recordings(facts: Mapping[str, Facts]) -> Iterator[tuple[str, str]]:
    """Pairs of ids: first those of equal content, then those that sound and look the same."""
    first: dict[tuple, str] = {}
    for name, fact in facts.items():
        if (other := first.setdefault(fact.content, name)) != name:
            yield name, other
    ids = list(facts)
    for i, j, _ in duplicates.pairs([fact.fingerprint for fact in facts.values()]):
        yield ids[i], ids[j]


def align_all(raws: Sequence[RawClip], cache: Cache, workers: int = 0) -> dict[str, str]:
    """Puts every clip that is not there into the cache -> {id: reason} of those quarantined.

    `workers` processes, 0 for one per core; the landmark model is loaded once in each.
    """
    missing, bad = cache.missing(raws), cache.reasons(raws)
    if done := len(raws) - len(missing):
        print(f"{done} of {len(raws)} clips were done before.", flush=True)
    if missing:
        faces.model_path()  # Fetched here, once, and a person's mistake shows.
        workers = min(workers or os.cpu_count() or 1, len(missing))
        results = _in_processes(missing, cache, workers) if workers > 1 else _here(missing, cache)
        progress = Progress("aligned", len(missing), bad)
        for raw, reason in results:
            if reason is not None:
                bad[raw.id] = reason
            progress.step()
    return bad


def _here(raws: Sequence[RawClip], cache: Cache) -> Iterator[tuple[RawClip, str | None]]:
    """Aligns in this process."""
    find = faces.FaceFinder(track.MAX_FACES)
    for raw in raws:
        yield raw, align_one(raw, cache, find)
    find.close()


def _in_processes(
    raws: Sequence[RawClip], cache: Cache, workers: int
) -> Iterator[tuple[RawClip, str | None]]:
    """Aligns in a pool; of the clips under way when a process dies, each is tried alone."""
    faces.FaceFinder(track.MAX_FACES).close()  # A model that does not load is said once, and here.
    waiting = collections.deque(raws)
    while waiting:
        running: dict[concurrent.futures.Future, RawClip] = {}
        try:
            with _pool(workers, cache) as pool:
                while waiting or running:
                    while waiting and len(running) < 2 * workers:  # So that none is idle.
                        future = pool.submit(_work, waiting[0])
                        running[future] = waiting.popleft()
                    done, _ = concurrent.futures.wait(
                        running, return_when=concurrent.futures.FIRST_COMPLETED
                    )
                    for future in done:
                        reason = future.result()
                        yield running.pop(future), reason
        except BrokenProcessPool:
            for raw in running.values():
                yield raw, _alone(raw, cache)


def _alone(raw: RawClip, cache: Cache) -> str | None:
    """Aligns one clip in a process of its own, which it may kill."""
    try:
        with _pool(1, cache) as pool:
            return pool.submit(_work, raw).result()
    except BrokenProcessPool:
        return "the process that decoded it died"


def _pool(workers: int, cache: Cache) -> concurrent.futures.ProcessPoolExecutor:
    # Spawned, since forked processes inherit the locks of threads that they do not have.
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(workers, context, _start, (cache,))


def _start(cache: Cache) -> None:
    """What a worker does first."""
    global _cache, _find
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to act upon.
    threading.Thread(target=_die_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # There is a process per core already.
    _cache, _find = cache, faces.FaceFinder(track.MAX_FACES)


def _die_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(raw: RawClip) -> str | None:
    return align_one(raw, _cache, _find)


def align_one(raw: RawClip, cache: Cache, find: faces.FaceFinder) -> str | None:
    """Aligns a clip and keeps the result -> the reason of quarantine, if there is one."""
    try:
        aligned = clips.align_clip(raw, cache.form, find)
    except BadClip as e:
        cache.save_reason(raw, str(e))
        return str(e)
    except MemoryError:
        return "too little memory to decode it"
    except Exception as e:  # Not foreseen, so not kept; but one clip shall not stop the others.
        return f"{type(e).__name__}: {e}"
    cache.save(raw, aligned)
    return None


class Progress:
    """Rate, time left and the count of quarantined clips: a bar on a terminal, else lines."""

    def __init__(self, done_what: str, total: int, bad: Collection, unit: str = "clip"):
        self._done_what, self._total, self._bad, self._done = done_what, total, bad, 0
        self._unit = unit
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm.tqdm(total=total, desc=done_what, unit=unit, disable=not self._terminal)
        self._start = self._shown = time.monotonic()

    def step(self) -> None:
        """One more is done."""
        self.reached(self._done + 1)

    def reached(self, done: int) -> None:
        """So many are done."""
        self._done = done
        now = time.monotonic()
        self._bar.set_postfix(quarantined=len(self._bad), refresh=False)
        self._bar.update(done - self._bar.n)
        if done == self._total:
            self._bar.close()
        due = done == self._total or now - self._shown > _SECONDS_PER_LINE
        if due and done and not self._terminal:
            rate, self._shown = done / (now - self._start), now
            print(
                f"{self._done_what} {done} of {self._total} {self._unit}s, "
                f"{rate:.2f} {self._unit}s/s, "
                f"{(self._total - done) / rate / 60:.1f} min left, {len(self._bad)} quarantined",
                flush=True,
            )
