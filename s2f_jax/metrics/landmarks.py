"""Metrics of facial landmarks: distance to the real ones, jitter, blinks and the mouth's movement."""

from collections.abc import Sequence

import numpy as np

from data_pipelines.faces import alignment
from data_pipelines.faces.measures import eye_aspect_ratio, mouth_opening
from s2f_jax.metrics import blinks, motion
from s2f_jax.metrics.faces_in_videos import FaceTrack, FaceTracker
from s2f_jax.metrics.scoring import (
    NOT_NEGATIVE,
    ClipPair,
    Metric,
    Score,
    Scorer,
    Scores,
    missing_scores,
)

_GROUP = "blinks and jitter"
METRICS = (
    Metric(
        "lmd", "LMD", "landmark distance of the mouth",
        "lower", 2, "px", "images", bounds=NOT_NEGATIVE,
    ),
    Metric(
        "blinks_per_s", "Blinks", "people blink 0.28 to 0.43 times a second",
        "", 2, "/s", _GROUP, bounds=NOT_NEGATIVE,
    ),
    Metric("blink_s", "Blink duration", "mean duration", "", 2, "s", _GROUP, bounds=NOT_NEGATIVE),
    *motion.METRICS,
    Metric(
        "jitter", "Jitter", "of the landmarks, generated / real",
        "one", 2, group=_GROUP, anchors=(1,), bounds=NOT_NEGATIVE,
    ),
)  # fmt: skip
TOO_SMALL = "the face is too small for its landmarks"
NO_BLINK = "no blink"
MISREAD = "the landmark model misreads this speaker's real mouth"

# Pixels between the eyes. Real faces shrunk to 9 lose no blink, and their mouths are read with a
# correlation of 0.97; at 4 all blinks are lost, and it is 0.59.
_MIN_EYE_DISTANCE = 8.0
# Between 17, where drawn mouths are read better by the probe (correlation with the truth 0.996
# against 0.982, and under a blur of one pixel 0.994 against 0.951), and 35, where real ones are
# by the landmarks (0.992 against 0.928, and with their whole amplitude instead of half).
_MIN_EYE_DISTANCE_FOR_MOUTH = 24.0


def resolves_mouth(height: int, width: int) -> bool:
    """Tells whether landmarks read the mouths of aligned faces of this size.

    If not, mouth_probe.MouthProbe reads them better.

    Args:
      height: Pixels of the image.
      width: Pixels of the image.

    Returns:
      Whether the eyes are far enough apart.
    """
    _, outer_right, inner_right, inner_left, outer_left = alignment.canonical_points(height, width)
    eyes = (inner_left + outer_left) / 2 - (inner_right + outer_right) / 2
    return float(np.linalg.norm(eyes)) >= _MIN_EYE_DISTANCE_FOR_MOUTH


class LandmarkScorer(Scorer):
    """Measures lmd, jitter, blinks_per_s and blink_s, and the mouth's movement if asked for.

    Curves: eye_opening [T], blinks int [n, 3], brow_height [T], and, of the mouth, mouth_opening
    and mouth_opening_real [T].

    Args:
      track_faces: Finds the landmarks.
      mouth: Whether to measure motion.MOUTH_METRICS too.
    """

    def __init__(self, track_faces: FaceTracker, mouth: bool):
        mouth_metrics = motion.MOUTH_METRICS if mouth else ()
        self.metrics = ("lmd", "jitter", "blinks_per_s", "blink_s", *mouth_metrics)
        self._track_faces, self._mouth = track_faces, mouth
        self.conventions = {
            "landmarks": "MediaPipe's Face Landmarker, frame by frame",
            "lmd": "mouth's 20 landmarks, real's mean moved onto the generated's in every frame",
            "jitter": "third difference of the 68 landmarks, in the mean",
            "blinks": "the eye aspect ratio falls by 0.072 in 40 ms; from maximum to maximum; the"
            " length of those that the clip's end does not cut off",
        }
        if mouth:
            method = "inner lips over the distance of the eyes, by landmarks"
            self.conventions["mouth_opening"] = method
        self.reset()

    def reset(self) -> None:
        """Restarts the count of frames without a face."""
        self._frames = self._missing = 0
        self._count_frames(0, 0)

    def __call__(self, pairs: Sequence[ClipPair]) -> list[Scores]:
        """Scores videos of any sizes and lengths.

        Args:
          pairs: The videos and their references.

        Returns:
          The scores of each, in order.
        """
        videos = [pair.real for pair in pairs] + [pair.video for pair in pairs]
        cacheable = [True] * len(pairs)  # Real videos come again in every row.
        # So do unaligned videos: their landmarks are needed again to align them.
        cacheable += [pair.video is pair.real or not pair.aligned for pair in pairs]
        tracks = [_large_enough(track) for track in self._track_faces(videos, cacheable)]
        scores, count = [], len(pairs)
        for pair, real, generated in zip(pairs, tracks[:count], tracks[count:], strict=True):
            if isinstance(generated, str):
                scores.append(missing_scores(self.metrics, generated))
                continue
            self._count_frames(len(generated.landmarks), generated.missing_frames)
            scores.append(self._score_tracks(pair, generated.landmarks, real))
        return scores

    def _count_frames(self, frames: int, missing: int) -> None:
        self._frames += frames
        self._missing += missing
        count = f"{self._missing} of {self._frames} frames of the videos, interpolated"
        self.conventions = {**self.conventions, "faces_unseen": self._track_faces.problem or count}

    def _score_tracks(self, pair: ClipPair, points: np.ndarray, real: FaceTrack | str) -> Scores:
        """Scores a pair by the video's landmarks [T, 68, 2] and the real clip's track."""
        eyes = score_blinks(points, pair.fps)
        values, curves = {**eyes.values}, {**eyes.curves}
        if isinstance(real, str):
            needing_real = [metric for metric in self.metrics if metric not in values]
            return Scores(values | dict.fromkeys(needing_real, real), eyes.weights, curves)
        values["lmd"] = motion.lmd(points, real.landmarks)
        values["jitter"] = motion.jitter(points, real.landmarks)
        if self._mouth:
            opening, opening_real = mouth_opening(points), mouth_opening(real.landmarks)
            values |= motion.mouth_scores(pair, opening, opening_real, MISREAD)
            curves |= {"mouth_opening": opening, "mouth_opening_real": opening_real}
        return Scores(values, eyes.weights, curves)


def score_blinks(points: np.ndarray, fps: float) -> Scores:
    """Measures blinks and brow movements.

    Args:
      points: Landmarks [T, 68, 2] in pixels.
      fps: Frames per second.

    Returns:
      Values of blinks_per_s and blink_s; curves eye_opening [T], blinks int [n, 3] and
      brow_height [T].
    """
    opening, seconds = eye_aspect_ratio(points), len(points) / fps
    found = blinks.find_blinks(opening, fps)
    durations = blinks.blink_durations(opening, found, fps)
    values: dict[str, Score] = {
        "blinks_per_s": len(found) / seconds,
        "blink_s": float(durations.mean()) if len(durations) else NO_BLINK,
    }
    weights = {"blinks_per_s": seconds}
    if len(durations):
        weights["blink_s"] = float(len(durations))
    curves = {
        "eye_opening": opening,
        "blinks": found,
        "brow_height": blinks.brow_height(points, found),
    }
    return Scores(values, weights, curves)


def _large_enough(track: FaceTrack | str) -> FaceTrack | str:
    """The track itself, or the reason why it is of no use."""
    if isinstance(track, str):
        return track
    right, left = (track.landmarks[:, corners].mean(axis=1) for corners in blinks.EYE_CORNERS)
    distance = np.linalg.norm(left - right, axis=-1)
    return track if np.median(distance) >= _MIN_EYE_DISTANCE else TOO_SMALL
