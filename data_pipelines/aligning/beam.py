"""Aligns clips in the workers of Apache Beam, on this machine or on many."""

import concurrent.futures
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam
import cv2
from apache_beam.options.pipeline_options import PipelineOptions

from data_pipelines.aligning import worker_pool
from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.aligning.cache import Cache
from data_pipelines.common.progress import Progress
from data_pipelines.faces import landmarks, tracking

_POLL_SECONDS = 10  # Between counts of what is in the cache by now.


class _Align(apache_beam.DoFn):
    """Aligns a clip as worker_pool.align_all does; each worker loads the landmark model once."""

    def __init__(self, cache: Cache):
        self._cache = cache

    def setup(self) -> None:
        cv2.setNumThreads(1)  # Beam has a worker per core.
        self._finder = landmarks.FaceFinder(tracking.MAX_FACES)

    def process(self, element: RawClip) -> Iterator[Any]:
        worker_pool.align_one(element, self._cache, self._finder)
        yield from ()

    def teardown(self) -> None:
        self._finder.close()


def align(clips: Sequence[RawClip], cache: Cache, runner: str, options: PipelineOptions) -> None:
    """Aligns every clip that the cache lacks; one that fails unexpectedly is left out.

    Args:
      clips: The raw clips.
      cache: Cache of the aligned clips; all workers must be able to write to it.
      runner: Name of the Beam runner.
      options: The pipeline's options.
    """
    # Only what aligning needs: all clips go into the job's description, whose size runners limit.
    missing = [
        dataclasses.replace(clip, transcript="", words=(), phones=())
        for clip in cache.missing(clips)
    ]
    if not missing:
        return
    landmarks.model_path()  # Fetched here, once, so that a UserError shows.

    def run() -> None:
        with apache_beam.Pipeline(runner=runner, options=options) as pipeline:
            elements = pipeline | "Clips" >> apache_beam.Create(missing, reshuffle=True)
            _ = elements | "Align" >> apache_beam.ParDo(_Align(cache))

    with (
        Progress("aligned", len(missing), "clip") as progress,
        concurrent.futures.ThreadPoolExecutor(1) as thread,
    ):
        running = thread.submit(run)
        while not concurrent.futures.wait([running], _POLL_SECONDS).done:
            progress.update_to(len(missing) - len(cache.missing(missing)))
        running.result()
