"""Measures how fast raw clips are aligned, and how fast the landmark model alone is."""

import contextlib
import itertools
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from etils import epath

from data_pipelines import prepare
from data_pipelines.aligning import align_clip
from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.aligning.base_builder import RecordedBuilder
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.common.processes import WorkerPool
from data_pipelines.contract import CorpusConfig
from data_pipelines.faces import landmarks, tracking
from data_pipelines.faces.regions import DetectedFace

_LEAST = 3  # Timed clips, after one to warm up.
_PROCESSES = 2


def measure(
    data: Mapping[str, Any], manual_dir: str | None, seconds: float
) -> dict[str, np.ndarray]:
    """Measures frames/s of wall-clock time.

    Args:
      data: The config's section `data`.
      manual_dir: A copy of the corpus.
      seconds: The least duration of each measurement.

    Returns:
      A value per clip. prepare.frames_per_s: one process, from file to JPEGs.
      prepare.detector_frames_per_s: the landmark model alone on the same frames in memory, clip by
      clip in alternation. prepare.frames_per_s_2: two processes.

    Raises:
      UserError: There is no manual_dir, no usable clip in it, or no landmark model.
    """
    if not manual_dir:
        raise UserError("raw clips are needed: give --manual_dir=DIR")
    config, raws = _raw_clips(data, manual_dir)
    finder = contextlib.closing(landmarks.FaceFinder(tracking.MAX_FACES))
    with _one_opencv_thread(), finder as find:
        whole, alone = zip(*_alternating_rates(raws, config, find, seconds), strict=True)
    return {
        "prepare.frames_per_s": np.array(whole[1:]),
        "prepare.detector_frames_per_s": np.array(alone[1:]),
        "prepare.frames_per_s_2": _parallel_rates(raws, config, seconds),
    }


@contextlib.contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Has OpenCV use one thread, as in a worker."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _raw_clips(data: Mapping[str, Any], manual_dir: str) -> tuple[CorpusConfig, Sequence[RawClip]]:
    with tempfile.TemporaryDirectory() as folder:
        builder = prepare.make_builder(data, manual_dir, folder)
        assert isinstance(builder, RecordedBuilder)  # Like every corpus that takes a manual_dir.
        return builder.config, builder.find_clips(epath.Path(folder)).clips


def _alternating_rates(
    raws: Sequence[RawClip], config: CorpusConfig, find: tracking.Detector, seconds: float
) -> Iterator[tuple[float, float]]:
    # Frames/s of everything and of `find` alone, clip by clip; the first warms up.
    done, started = 0, time.perf_counter()
    for number, raw in enumerate(itertools.cycle(raws)):
        if done > _LEAST and time.perf_counter() - started > 2 * seconds:
            return
        if number >= len(raws) and not done:
            raise UserError(f"--manual_dir: none of its {len(raws)} clips is usable")
        start, recorded = time.perf_counter(), _RecordingFinder(find)
        try:
            frames = len(align_clip.align_clip(raw, config, recorded).jpegs)
        except BadClip:
            continue
        middle = time.perf_counter()
        for image in recorded.images:
            find(image)
        done += 1
        yield frames / (middle - start), len(recorded.images) / (time.perf_counter() - middle)


class _RecordingFinder:
    """A finder that keeps the images that it is given."""

    def __init__(self, find: tracking.Detector):
        self._find = find
        self.images: list[np.ndarray] = []

    def __call__(self, image: np.ndarray) -> Sequence[DetectedFace]:
        self.images.append(image)
        return self._find(image)

    def search(self, image: np.ndarray) -> Sequence[DetectedFace]:
        self.images.append(image)
        return tracking.detect_in_frame(image, None, True, self._find)

    def follow(self, image: np.ndarray, last: DetectedFace) -> Sequence[DetectedFace]:
        self.images.append(image)
        return tracking.detect_in_frame(image, last, True, self._find)


def _parallel_rates(raws: Sequence[RawClip], config: CorpusConfig, seconds: float) -> np.ndarray:
    # Frames/s of several processes together, by round of clips.
    rates, started = [], time.perf_counter()
    with WorkerPool(_PROCESSES, initializer=_initialize_worker, initargs=(config,)) as pool:
        clips = itertools.cycle(raws)
        while len(rates) <= _LEAST or time.perf_counter() - started < seconds:
            batch = list(itertools.islice(clips, 4 * _PROCESSES))
            start = time.perf_counter()
            frames = sum(pool.map(_count_frames, batch))
            rates.append(frames / (time.perf_counter() - start))
    return np.array(rates[1:])  # The first round starts the processes.


def _initialize_worker(config: CorpusConfig) -> None:
    global _config, _find
    _config, _find = config, landmarks.FaceFinder(tracking.MAX_FACES)


def _count_frames(raw: RawClip) -> int:
    try:
        return len(align_clip.align_clip(raw, _config, _find).jpegs)
    except BadClip:
        return 0
