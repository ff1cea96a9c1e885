"""What the landmarks of a face say of a video: distance to the real ones, jitter, blinks, mouth."""

from collections.abc import Sequence

import numpy as np

from data_pipelines.faces import alignment
from data_pipelines.faces.measures import eye_aspect_ratio, mouth_opening
from s2f_jax.metrics import blinks, motion
from s2f_jax.metrics.faces_in_videos import FaceTrack, FaceTracker
from s2f_jax.metrics.scoring import Score, Scores, VideoPair, missing_scores

TOO_SMALL = "the face is too small for its landmarks"
NO_BLINK = "no blink"
MISREAD = "the landmark model misreads this speaker's real mouth"

# Pixels from eye to eye. Real faces shrunk to 9 lose no blink, and their mouths are read with a
# correlation of 0.97; at 4 all blinks are lost, and it is 0.59.
_READABLE = 8.0
# Between 17, where drawn mouths are read better by the probe (correlation with the truth 0.996
# against 0.982, and under a blur of one pixel 0.994 against 0.951), and 35, where real ones are
# by the landmarks (0.992 against 0.928, and with their whole amplitude instead of half).
_LARGE_ENOUGH = 24.0
_METRICS = ("lmd", "jitter", "blinks_per_s", "blink_s")


def resolves_mouth(height: int, width: int) -> bool:
    """Whether landmarks, where there is a model, read the mouths of aligned faces of this size.

    If not, motion.MouthProbe reads them better.
    """
    _, outer_right, inner_right, inner_left, outer_left = alignment.canonical(height, width)
    apart = (inner_left + outer_left) / 2 - (inner_right + outer_right) / 2
    return float(np.linalg.norm(apart)) >= _LARGE_ENOUGH


class LandmarkScorer:
    """An Instrument: lmd, jitter, blinks_per_s and blink_s; of the mouth, motion.METRICS, if asked.

    Curves: eye_opening [T], blinks int [n, 3], brow_height [T], and, of the mouth, mouth_opening
    and mouth_opening_real [T].
    """

    def __init__(self, find: FaceTracker, mouth: bool):
        self.metrics = _METRICS + (motion.MOUTH_METRICS if mouth else ())
        self._find, self._mouth = find, mouth
        self.about = {
            "landmarks": "MediaPipe's Face Landmarker, frame by frame",
            "lmd": "mouth's 20 landmarks, real's mean moved onto the generated's in every frame",
            "jitter": "third difference of the 68 landmarks, in the mean",
            "blinks": "the eye aspect ratio falls by 0.072 in 40 ms; from maximum to maximum; the"
            " length of those that the clip's end does not cut off",
        }
        if mouth:
            self.about["mouth_opening"] = "inner lips over the distance of the eyes, by landmarks"
        self.begin()

    def begin(self) -> None:
        """The frames that `about` counts are those from now on."""
        self._frames = self._unseen = 0
        self._tell()

    def __call__(self, pairs: Sequence[VideoPair]) -> list[Scores]:
        """The scores of each pair."""
        videos = [pair.real for pair in pairs] + [pair.video for pair in pairs]
        # So do unaligned videos: who judges them once they are aligned needs their landmarks too.
        come_again = [True] * len(pairs)
        come_again += [pair.video is pair.real or not pair.aligned for pair in pairs]
        faces_of = [_readable(found) for found in self._find(videos, come_again)]
        scored = []
        for pair, real, generated in zip(
            pairs, faces_of[: len(pairs)], faces_of[len(pairs) :], strict=True
        ):
            if isinstance(generated, str):
                scored.append(missing_scores(self.metrics, generated))
                continue
            self._frames += len(generated.landmarks)
            self._unseen += generated.unseen
            scored.append(self._score(pair, generated.landmarks, real))
        self._tell()
        return scored

    def _score(self, pair: VideoPair, points: np.ndarray, real: FaceTrack | str) -> Scores:
        """points: the video's landmarks [T, 68, 2]."""
        values, weights, curves = score_blinks(points, pair.fps)
        if isinstance(real, str):
            needing_real = [metric for metric in self.metrics if metric not in values]
            return Scores(values | dict.fromkeys(needing_real, real), weights, curves)
        values["lmd"] = motion.lmd(points, real.landmarks)
        values["jitter"] = motion.jitter(points, real.landmarks)
        if self._mouth:
            opening, opening_real = mouth_opening(points), mouth_opening(real.landmarks)
            values |= motion.mouth_scores(pair, opening, opening_real, MISREAD)
            curves |= {"mouth_opening": opening, "mouth_opening_real": opening_real}
        return Scores(values, weights, curves)

    def _tell(self) -> None:
        """Of the frames so far."""
        unseen = f"{self._unseen} of {self._frames} frames of the videos, interpolated"
        self.about["faces_unseen"] = self._find.problem or unseen


def _readable(found: FaceTrack | str) -> FaceTrack | str:
    """As it is, or the reason why it is of no use."""
    if isinstance(found, str):
        return found
    right, left = (found.landmarks[:, corners].mean(axis=1) for corners in blinks.EYE_CORNERS)
    apart = np.linalg.norm(left - right, axis=-1)
    return found if np.median(apart) >= _READABLE else TOO_SMALL


def score_blinks(
    points: np.ndarray, fps: float
) -> tuple[dict[str, Score], dict[str, float], dict[str, np.ndarray]]:
    """Landmarks [T, 68, 2] -> values, weights and curves of what the eyes and brows do."""
    opening, seconds = eye_aspect_ratio(points), len(points) / fps
    found = blinks.find_blinks(opening, fps)
    lengths = blinks.blink_durations(opening, found, fps)
    values: dict[str, Score] = {
        "blinks_per_s": len(found) / seconds,
        "blink_s": float(lengths.mean()) if len(lengths) else NO_BLINK,
    }
    weights = {"blinks_per_s": seconds} | ({"blink_s": float(len(lengths))} if len(lengths) else {})
    curves = {
        "eye_opening": opening,
        "blinks": found,
        "brow_height": blinks.brow_height(points, found),
    }
    return values, weights, curves
