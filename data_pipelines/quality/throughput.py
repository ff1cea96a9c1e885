"""How fast raw clips become examples, and how fast the landmark model alone is on their frames."""

import contextlib
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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

_LEAST = 3  # Timed clips; one before them warms up.
_PROCESSES = 2


def measure(
    data: Mapping[str, Any], manual_dir: str | None, seconds: float
) -> dict[str, np.ndarray]:
    """Frames/s by the wall, a value per clip, for at least so many seconds each.

    prepare.frames_per_s: one process, from file to JPEGs. prepare.detector_frames_per_s: the
    landmark model alone, on the same frames in memory, in turns with it. prepare.frames_per_s_2:
    two processes.

    Raises:
      UserError: no manual_dir, no fit clip in it, or no landmark model.
    """
    if not manual_dir:
        raise UserError("raw clips are needed: give --manual_dir=DIR")
    form, raws = _found(data, manual_dir)
    cv2.setNumThreads(1)  # As a worker has it.
    with contextlib.closing(landmarks.FaceFinder(tracking.MAX_FACES)) as find:
        whole, alone = zip(*_in_turns(raws, form, find, seconds), strict=True)
    return {
        "prepare.frames_per_s": np.array(whole[1:]),
        "prepare.detector_frames_per_s": np.array(alone[1:]),
        "prepare.frames_per_s_2": _of_processes(raws, form, seconds),
    }


def _found(data: Mapping[str, Any], manual_dir: str) -> tuple[CorpusConfig, Sequence[RawClip]]:
    """The form to make, and the raw clips."""
    with tempfile.TemporaryDirectory() as folder:
        builder = prepare.make_builder(data, manual_dir, folder)
        assert isinstance(builder, RecordedBuilder)  # As all that take a manual_dir.
        return builder.config, builder.find_clips(epath.Path(folder)).clips


def _in_turns(
    raws: Sequence[RawClip], form: CorpusConfig, find: Callable, seconds: float
) -> Iterator[tuple[float, float]]:
    """Of one clip after the other, frames/s of all and of `find` alone; the first warms up."""
    done, started = 0, time.perf_counter()
    for number, raw in enumerate(itertools.cycle(raws)):
        if done > _LEAST and time.perf_counter() - started > 2 * seconds:
            return
        if number >= len(raws) and not done:
            raise UserError("none of the raw clips is fit")
        images = []

        def keeping(image: np.ndarray, images=images) -> list[landmarks.DetectedFace]:
            images.append(image)
            return find(image)

        start = time.perf_counter()
        try:
            frames = len(align_clip.align_clip(raw, form, keeping).jpegs)
        except BadClip:
            continue
        middle = time.perf_counter()
        for image in images:
            find(image)
        done += 1
        yield frames / (middle - start), len(images) / (time.perf_counter() - middle)


def _of_processes(raws: Sequence[RawClip], form: CorpusConfig, seconds: float) -> np.ndarray:
    """Frames/s of several processes together, over rounds of clips."""
    rounds, started = [], time.perf_counter()
    with WorkerPool(_PROCESSES, initializer=_initialize_worker, initargs=(form,)) as pool:
        clips_of = itertools.cycle(raws)
        while len(rounds) <= _LEAST or time.perf_counter() - started < seconds:
            some = list(itertools.islice(clips_of, 4 * _PROCESSES))
            start = time.perf_counter()
            frames = sum(pool.map(_frames, some))
            rounds.append(frames / (time.perf_counter() - start))
    return np.array(rounds[1:])  # The first starts the processes.


def _initialize_worker(form: CorpusConfig) -> None:
    global _form, _find
    _form, _find = form, landmarks.FaceFinder(tracking.MAX_FACES)


def _frames(raw: RawClip) -> int:
    try:
        return len(align_clip.align_clip(raw, _form, _find).jpegs)
    except BadClip:
        return 0
