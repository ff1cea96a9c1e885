"""Aligning in the workers of Apache Beam, on this machine or on many."""

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

_SECONDS_PER_LOOK = 10  # At what is in the cache by now.


class _Align(apache_beam.DoFn):
    """What pool.align_all does with a clip; the landmark model is loaded once in each worker."""

    def __init__(self, cache: Cache):
        self._cache = cache

    def setup(self) -> None:
        cv2.setNumThreads(1)  # Beam has a worker per core.
        self._find = landmarks.FaceFinder(tracking.MAX_FACES)

    def process(self, element: RawClip) -> Iterator[Any]:
        worker_pool.align_one(element, self._cache, self._find)
        yield from ()

    def teardown(self) -> None:
        self._find.close()


def align(raws: Sequence[RawClip], cache: Cache, runner: str, options: PipelineOptions) -> None:
    """Puts every clip that is not there into the cache, which all workers have to see.

    A clip that fails for a reason that was not foreseen is left out.
    """
    # What aligning needs: they all go into the job's description, which runners limit.
    missing = [
        dataclasses.replace(raw, transcript="", words=(), phones=()) for raw in cache.missing(raws)
    ]
    if not missing:
        return
    landmarks.model_path()  # Fetched here, once, and a person's mistake shows.
    progress = Progress("aligned", len(missing), {})

    def run() -> None:
        with apache_beam.Pipeline(runner=runner, options=options) as pipeline:
            clips = pipeline | "Clips" >> apache_beam.Create(missing, reshuffle=True)
            _ = clips | "Align" >> apache_beam.ParDo(_Align(cache))

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        running = thread.submit(run)
        while not concurrent.futures.wait([running], _SECONDS_PER_LOOK).done:
            progress.reached(len(missing) - len(cache.missing(missing)))
        running.result()
