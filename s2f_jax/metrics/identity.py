"""ACD, the average content distance: how far a video's face strays from the still's identity.

With unit vectors e of the still (the real clip's frame 0) and of each frame, by a face embedder:
`acd_l2` is the mean over frames of |e_t - e_0|, `acd_mse` of its square per dimension, `acd_cos` of
1 - e_t . e_0. The paper's values around 1e-4 cannot be the first; they may be the second.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from s2f_jax.metrics.embedders import Embedder
from s2f_jax.metrics.faces_in_videos import FaceTracker
from s2f_jax.metrics.scoring import Scores, VideoPair, missing_scores

NO_VECTOR = "the embedder gives no vector"

# The five points of an Embedder (x, y) in an aligned 128x96 image: the mean of 12 GRID speakers, who
# differ by 0.5 pixels at the eyes and by 2 at the mouth.
_FIVE = np.array([[30.4, 43.4], [66.3, 42.2], [49.0, 62.7], [36.1, 85.1], [63.3, 84.3]])


class IdentityScorer:
    """An Instrument: acd_l2, acd_mse and acd_cos.

    Aligned frames are all cropped alike, by the still's landmarks. In others the face is looked for
    in every frame.
    """

    metrics = ("acd_l2", "acd_mse", "acd_cos")

    def __init__(self, embedder: Embedder, find: FaceTracker):
        """find: for videos that are not aligned."""
        self._embed, self._find = embedder, find
        self.about: Mapping[str, str] = {
            "acd": f"vectors of length 1 by {embedder.name}; each frame's against the real frame 0's"
        }

    def __call__(self, pairs: Sequence[VideoPair]) -> list[Scores]:
        return [
            self._score(pair, points)
            for pair, points in zip(pairs, self._points(pairs), strict=True)
        ]

    def _score(self, pair: VideoPair, points: np.ndarray | str) -> Scores:
        """points [1 + T, 5, 2]: those in the still and in each frame."""
        if isinstance(points, str):
            return missing_scores(self.metrics, points)
        pictures = [pair.real[0], *pair.video]
        # Equal ones go through once, so that a frozen still costs next to nothing, and scores 0.
        content = [_content(*picture) for picture in zip(pictures, points, strict=True)]
        firsts = {key: i for i, key in reversed(list(enumerate(content)))}
        chosen = list(firsts.values())
        found = self._embed([pictures[i] for i in chosen], points[chosen]).astype(np.float64)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and (lengths > 0).all()):
            return missing_scores(self.metrics, NO_VECTOR)
        row = {key: number for number, key in enumerate(firsts)}
        still, *frames = (found / lengths)[[row[key] for key in content]]
        squares = np.sum((frames - still) ** 2, axis=1)
        return Scores(
            {
                "acd_l2": float(np.sqrt(squares).mean()),
                "acd_mse": float(squares.mean() / len(still)),
                "acd_cos": float(squares.mean() / 2),  # The same for unit vectors, and 0 exactly.
            }
        )

    def _points(self, pairs: Sequence[VideoPair]) -> list[np.ndarray | str]:
        """Five points in the still and each frame [1 + T, 5, 2] of each pair, or why there are none."""
        found = [pair for pair in pairs if not pair.aligned]
        videos = [video for pair in found for video in (pair.real, pair.video)]
        tracks = iter(self._find(videos, [True] * len(videos)) if videos else ())
        points: list[np.ndarray | str] = []
        for pair in pairs:
            if pair.aligned:
                still = _five_of_aligned(pair)
                points.append(np.broadcast_to(still, (1 + len(pair.video), 5, 2)))
                continue
            real, video = next(tracks), next(tracks)
            if isinstance(real, str):
                points.append(real)
            elif isinstance(video, str):
                points.append(video)
            else:
                landmarks = np.concatenate([real.landmarks[:1], video.landmarks])
                points.append(five_points(landmarks))
        return points


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks [T, 68, 2] -> [T, 5, 2]: eyes' centres, nose's tip, mouth's corners; left first."""
    eyes = [landmarks[:, eye].mean(axis=1) for eye in (slice(36, 42), slice(42, 48))]
    return np.stack([*eyes, *(landmarks[:, i] for i in (30, 48, 54))], axis=1)


def _five_of_aligned(pair: VideoPair) -> np.ndarray:
    """[5, 2]: of the still's landmarks where they are known, else of any aligned face."""
    if pair.landmarks is not None and np.isfinite(pair.landmarks[0]).all():
        return five_points(pair.landmarks[:1])[0]
    height, width = pair.real.shape[1:3]
    return (_FIVE + 0.5) * (width / 96, height / 128) - 0.5


def _content(picture: np.ndarray, points: np.ndarray) -> bytes:
    """Names all that an embedding depends on."""
    digest = hashlib.sha256(np.ascontiguousarray(picture).data)
    digest.update(np.ascontiguousarray(points, np.float64).data)
    return digest.digest()
