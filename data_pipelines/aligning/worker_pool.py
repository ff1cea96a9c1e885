"""Many clips: spread over processes, each cached on disk, so that an interrupted run goes on."""

import collections
import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool

import cv2

from data_pipelines.aligning import align_clip, duplicates
from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.aligning.cache import Cache, ClipSummary
from data_pipelines.common.errors import BadClip
from data_pipelines.common.progress import Progress
from data_pipelines.faces import landmarks, tracking


def duplicate_recordings(facts: Mapping[str, ClipSummary]) -> Iterator[tuple[str, str]]:
    """Pairs of ids: first those of equal content, then those that sound and look the same."""
    first: dict[tuple, str] = {}
    for name, fact in facts.items():
        if (other := first.setdefault(fact.content, name)) != name:
            yield name, other
    ids = list(facts)
    for i, j, _ in duplicates.find_duplicates([fact.fingerprint for fact in facts.values()]):
        yield ids[i], ids[j]


def align_all(raws: Sequence[RawClip], cache: Cache, workers: int = 0) -> dict[str, str]:
    """Puts every clip that is not there into the cache -> {id: reason} of those quarantined.

    `workers` processes, 0 for one per core; the landmark model is loaded once in each.
    """
    missing, bad = cache.missing(raws), cache.reasons(raws)
    if done := len(raws) - len(missing):
        print(f"{done} of {len(raws)} clips were done before.", flush=True)
    if missing:
        landmarks.model_path()  # Fetched here, once, and a person's mistake shows.
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
    find = landmarks.FaceFinder(tracking.MAX_FACES)
    for raw in raws:
        yield raw, align_one(raw, cache, find)
    find.close()


def _in_processes(
    raws: Sequence[RawClip], cache: Cache, workers: int
) -> Iterator[tuple[RawClip, str | None]]:
    """Aligns in a pool; of the clips under way when a process dies, each is tried alone."""
    landmarks.FaceFinder(
        tracking.MAX_FACES
    ).close()  # A model that does not load is said once, and here.
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
    _cache, _find = cache, landmarks.FaceFinder(tracking.MAX_FACES)


def _die_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(raw: RawClip) -> str | None:
    return align_one(raw, _cache, _find)


def align_one(raw: RawClip, cache: Cache, find: landmarks.FaceFinder) -> str | None:
    """Aligns a clip and keeps the result -> the reason of quarantine, if there is one."""
    try:
        aligned = align_clip.align_clip(raw, cache.form, find)
    except BadClip as e:
        cache.save_reason(raw, str(e))
        return str(e)
    except MemoryError:
        return "too little memory to decode it"
    except Exception as e:  # Not foreseen, so not kept; but one clip shall not stop the others.
        return f"{type(e).__name__}: {e}"
    cache.save(raw, aligned)
    return None
