"""How fast the metrics that search for faces are, and the landmark model alone on their frames."""

import time
from collections.abc import Sequence

import cv2
import numpy as np

from data_pipelines.common import processes
from data_pipelines.faces import landmarks as face_landmarks
from data_pipelines.faces import tracking
from s2f_jax.metrics.faces_in_videos import FaceTracker, upscale_for_detector
from s2f_jax.metrics.landmarks import LandmarkScorer
from s2f_jax.metrics.scoring import VideoPair

_LEAST = 3  # Timed rounds; one before them starts the processes.


def landmark_throughput(
    videos: Sequence[np.ndarray], seconds: float, workers: int = 0
) -> dict[str, np.ndarray]:
    """Frames/s, a value per round, for at least so many seconds each, in turns.

    videos: uint8 [T_i, H, W, 3], a batch; no two frames in a row should be alike.
    metrics.landmarks_frames_per_s: all metrics of landmarks, of videos that come for the first
    time. metrics.detector_frames_per_s: the landmark model alone, on the same frames enlarged
    beforehand, in as many processes.

    Raises UserError where there is no landmark model.
    """
    face_landmarks.FaceFinder(tracking.MAX_FACES).close()
    find, pool = FaceTracker(workers), processes.WorkerPool(workers)
    instrument = LandmarkScorer(find, mouth=True)
    frames = np.concatenate(videos)
    whole, alone, started = [], [], time.perf_counter()
    while len(whole) <= _LEAST or time.perf_counter() - started < 2 * seconds:
        pairs = [_new_pair(video, len(whole)) for video in videos]
        start = time.perf_counter()
        instrument(pairs)
        whole.append(2 * sum(map(len, videos)) / (time.perf_counter() - start))
        alone.append(sum(_results(pool, [frames] * pool.workers)))
    find.close()
    pool.close()
    return {
        "metrics.landmarks_frames_per_s": np.array(whole[1:]),
        "metrics.detector_frames_per_s": np.array(alone[1:]),
    }


def _new_pair(video: np.ndarray, number: int) -> VideoPair:
    """A video and its mirror image, changed a little, so that neither was seen before."""
    real = video[:, :, ::-1].copy()
    real[0, 0, 0] = number % 256
    audio = np.resize(np.array([-999, 999], np.int16), 640 * len(video))
    return VideoPair("", "", "", video, real, 25, audio, 16000, aligned=False)


def _results(pool: processes.WorkerPool, tasks: Sequence[np.ndarray]) -> list[float]:
    results = []
    for _, result in pool.each(_detector_alone, tasks):
        if isinstance(result, Exception):
            raise result
        results.append(result)
    return results


def _detector_alone(frames: np.ndarray) -> float:
    """Frames/s of one process, while the others do the same."""
    cv2.setNumThreads(1)
    images = [np.ascontiguousarray(upscale_for_detector(frame)) for frame in frames]
    find = face_landmarks.FaceFinder(tracking.MAX_FACES)
    start = time.perf_counter()
    for image in images:
        find(image)
    rate = len(images) / (time.perf_counter() - start)
    find.close()
    return rate
