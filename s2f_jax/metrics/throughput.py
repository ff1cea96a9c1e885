"""Speed of the metrics that search for faces, and of the landmark model alone on their frames."""

import time
from collections.abc import Sequence

import numpy as np

from data_pipelines.common import processes
from data_pipelines.faces import landmarks as face_landmarks
from data_pipelines.faces import tracking
from s2f_jax.metrics.faces_in_videos import FaceTracker, upscale_for_detector
from s2f_jax.metrics.landmarks import LandmarkScorer
from s2f_jax.metrics.scoring import ClipPair

_MIN_ROUNDS = 3  # Timed; one before them starts the processes.


def landmark_throughput(
    videos: Sequence[np.ndarray], seconds: float, workers: int = 0
) -> dict[str, np.ndarray]:
    """Measures all metrics of landmarks and the landmark model alone, in turns.

    Args:
      videos: A batch, uint8 [T_i, H, W, 3] each, without repeated frames.
      seconds: Least time for each of the two.
      workers: Processes; 0 for one per core.

    Returns:
      Frames/s, a value per round: metrics.landmarks_frames_per_s of videos that are not cached, and
      metrics.detector_frames_per_s of the model alone, on the same frames enlarged beforehand, in
      as many processes.

    Raises:
      UserError: There is no landmark model.
    """
    face_landmarks.FaceFinder(tracking.MAX_FACES).close()
    tracker, pool = FaceTracker(workers), processes.WorkerPool(workers)
    scorer = LandmarkScorer(tracker, mouth=True)
    frames = np.concatenate(videos)
    scorer_rates, detector_rates, start = [], [], time.perf_counter()
    while len(scorer_rates) <= _MIN_ROUNDS or time.perf_counter() - start < 2 * seconds:
        pairs = [_new_pair(video, len(scorer_rates)) for video in videos]
        round_start = time.perf_counter()
        scorer(pairs)
        scorer_rates.append(2 * sum(map(len, videos)) / (time.perf_counter() - round_start))
        detector_rates.append(sum(pool.map(_detector_rate, [frames] * pool.workers)))
    tracker.close()
    pool.close()
    return {
        "metrics.landmarks_frames_per_s": np.array(scorer_rates[1:]),
        "metrics.detector_frames_per_s": np.array(detector_rates[1:]),
    }


def _new_pair(video: np.ndarray, number: int) -> ClipPair:
    """A video and its mirror image, changed a little, so that neither is cached."""
    real = video[:, :, ::-1].copy()
    real[0, 0, 0] = number % 256
    audio = np.resize(np.array([-999, 999], np.int16), 640 * len(video))
    return ClipPair("", "", "", video, real, 25, audio, 16000, aligned=False)


def _detector_rate(frames: np.ndarray) -> float:
    """Frames/s of one process, while the others do the same."""
    images = [np.ascontiguousarray(upscale_for_detector(frame)) for frame in frames]
    finder = face_landmarks.FaceFinder(tracking.MAX_FACES)
    start = time.perf_counter()
    for image in images:
        finder(image)
    rate = len(images) / (time.perf_counter() - start)
    finder.close()
    return rate
