"""Aligns many clips in worker processes, each result cached, so that an interrupted run resumes."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

from data_pipelines.aligning import align_clip, duplicates
from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.aligning.cache import Cache, ClipSummary
from data_pipelines.common.errors import BadClip
from data_pipelines.common.processes import WorkerPool
from data_pipelines.common.progress import Progress
from data_pipelines.faces import landmarks, tracking


def duplicate_recordings(summaries: Mapping[str, ClipSummary]) -> Iterator[tuple[str, str]]:
    """Finds clips that are the same recording.

    Args:
      summaries: Summaries by the clips' ids.

    Yields:
      Pairs of ids: first those of equal content, then those that sound and look the same.
    """
    first: dict[tuple, str] = {}
    for clip_id, summary in summaries.items():
        if (other := first.setdefault(summary.content, clip_id)) != clip_id:
            yield clip_id, other
    ids = list(summaries)
    for i, j, _ in duplicates.find_duplicates([s.fingerprint for s in summaries.values()]):
        yield ids[i], ids[j]


def align_all(clips: Sequence[RawClip], cache: Cache, workers: int = 0) -> dict[str, str]:
    """Aligns every clip that the cache lacks.

    Args:
      clips: The raw clips.
      cache: Cache of aligned clips and of reasons for quarantine.
      workers: Number of processes; 0 is one per core. Each loads the landmark model once.

    Returns:
      {id: reason} of the quarantined clips; the others are in the cache.

    Raises:
      UserError: The landmark model cannot be loaded.
    """
    missing, bad = cache.missing(clips), cache.reasons(clips)
    if done := len(clips) - len(missing):
        print(f"{done} of {len(clips)} clips were aligned before.", flush=True)
    if missing:
        workers = min(workers or os.cpu_count() or 1, len(missing))
        with Progress("aligned", len(missing), "clip") as progress:
            for clip, reason in _align_each(missing, cache, workers):
                if reason is not None:
                    bad[clip.id] = reason
                progress.note = f"{len(bad)} quarantined"
                progress.update()
    return bad


def align_one(clip: RawClip, cache: Cache, finder: landmarks.FaceFinder) -> str | None:
    """Aligns a clip and caches the result.

    Args:
      clip: The raw clip.
      cache: Cache of the aligned clip, or of the reason for its quarantine.
      finder: The landmark model.

    Returns:
      The reason for quarantine; None if the clip was aligned.
    """
    try:
        aligned = align_clip.align_clip(clip, cache.config, finder)
    except BadClip as e:
        cache.save_reason(clip, str(e))
        return str(e)
    except MemoryError:
        return "too little memory to decode it"
    except Exception as e:  # Unexpected, so not cached; but one clip must not stop the others.
        return f"{type(e).__name__}: {e}"
    cache.save(clip, aligned)
    return None


def _align_each(
    clips: Sequence[RawClip], cache: Cache, workers: int
) -> Iterator[tuple[RawClip, str | None]]:
    """Yields each clip and its reason for quarantine, if any."""
    # Loaded here in any case, so that a model that is missing or damaged is reported once.
    with contextlib.closing(landmarks.FaceFinder(tracking.MAX_FACES)) as finder:
        if workers == 1:
            for clip in clips:
                yield clip, align_one(clip, cache, finder)
            return
    with WorkerPool(workers, len(clips), _initialize_worker, (cache,)) as pool:
        for index, reason in pool.map_unordered(_align_in_worker, clips):
            yield clips[index], str(reason) if isinstance(reason, Exception) else reason


def _initialize_worker(cache: Cache) -> None:
    global _cache, _finder
    _cache, _finder = cache, landmarks.FaceFinder(tracking.MAX_FACES)


def _align_in_worker(clip: RawClip) -> str | None:
    return align_one(clip, _cache, _finder)
