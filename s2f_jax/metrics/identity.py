"""ACD, the average content distance: how far a video's face departs from the still's identity.

With unit vectors e of the still (the real clip's frame 0) and of each frame, by a face embedder:
`acd_l2` is the mean over frames of |e_t - e_0|, `acd_mse` of its square per dimension, `acd_cos` of
1 - e_t . e_0. The paper's values around 1e-4 cannot be the first; they may be the second.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from s2f_jax.metrics.embedders import Embedder
from s2f_jax.metrics.faces_in_videos import FaceTracker
from s2f_jax.metrics.scoring import NOT_NEGATIVE, ClipPair, Metric, Scorer, Scores, missing_scores

METRICS = (
    Metric(
        "acd_l2", "ACD", "distance of frame and still embeddings",
        "lower", 3, group="identity", bounds=NOT_NEGATIVE,
    ),
    Metric(
        "acd_mse", "ACD squared", "its square, per dimension",
        "lower", 6, group="identity", bounds=NOT_NEGATIVE,
    ),
    Metric(
        "acd_cos", "ACD cosine", "the same as 1 - cosine",
        "lower", 3, group="identity", bounds=NOT_NEGATIVE,
    ),
)  # fmt: skip
NO_VECTOR = "the embedder gives no vector"

# The five points of an Embedder (x, y) in an aligned 128x96 image: the mean of 12 GRID speakers, who
# differ by 0.5 pixels at the eyes and by 2 at the mouth.
_ALIGNED_POINTS = np.array([[30.4, 43.4], [66.3, 42.2], [49.0, 62.7], [36.1, 85.1], [63.3, 84.3]])


class IdentityScorer(Scorer):
    """Measures acd_l2, acd_mse and acd_cos.

    Aligned frames are all cropped alike, by the still's landmarks; in others the face is tracked.

    Args:
      embedder: Maps faces to vectors.
      track_faces: Face tracker for videos that are not aligned.
    """

    metrics = tuple(metric.key for metric in METRICS)

    def __init__(self, embedder: Embedder, track_faces: FaceTracker):
        self._embed, self._track_faces = embedder, track_faces
        self.conventions = {
            "acd": f"vectors of length 1 by {embedder.name}; each frame's against the real frame 0's"
        }

    def __call__(self, pairs: Sequence[ClipPair]) -> list[Scores]:
        """Scores videos of any sizes and lengths.

        Args:
          pairs: The videos and their references.

        Returns:
          The scores of each, in order.
        """
        points = self._face_points(pairs)
        return [self._score_at(*each) for each in zip(pairs, points, strict=True)]

    def _score_at(self, pair: ClipPair, points: np.ndarray | str) -> Scores:
        """Scores a pair by the faces at `points` [1 + T, 5, 2], of the still and of each frame."""
        if isinstance(points, str):
            return missing_scores(self.metrics, points)
        images = [pair.real[0], *pair.video]
        # Equal ones are embedded once, so that a frozen still costs next to nothing, and scores 0.
        digests = [_content_digest(*image) for image in zip(images, points, strict=True)]
        firsts = {digest: i for i, digest in reversed(list(enumerate(digests)))}
        unique = list(firsts.values())
        vectors = self._embed([images[i] for i in unique], points[unique]).astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and (lengths > 0).all()):
            return missing_scores(self.metrics, NO_VECTOR)
        row = {digest: number for number, digest in enumerate(firsts)}
        still, *frames = (vectors / lengths)[[row[digest] for digest in digests]]
        squares = np.sum((frames - still) ** 2, axis=1)
        return Scores(
            {
                "acd_l2": float(np.sqrt(squares).mean()),
                "acd_mse": float(squares.mean() / len(still)),
                # 1 - cosine of unit vectors; in this form exactly 0 for equal ones.
                "acd_cos": float(squares.mean() / 2),
            }
        )

    def _face_points(self, pairs: Sequence[ClipPair]) -> list[np.ndarray | str]:
        """Five points in the still and in each frame [1 + T, 5, 2] of each pair, or the reason."""
        videos = [x for pair in pairs if not pair.aligned for x in (pair.real, pair.video)]
        tracks = iter(self._track_faces(videos, [True] * len(videos)) if videos else ())

        def points(pair: ClipPair) -> np.ndarray | str:
            if pair.aligned:
                return np.broadcast_to(_aligned_points(pair), (1 + len(pair.video), 5, 2))
            real, video = next(tracks), next(tracks)
            if isinstance(real, str):
                return real
            if isinstance(video, str):
                return video
            return five_points(np.concatenate([real.landmarks[:1], video.landmarks]))

        return [points(pair) for pair in pairs]


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Reduces 68 landmarks to the five points of an Embedder.

    Args:
      landmarks: [T, 68, 2] in pixels.

    Returns:
      [T, 5, 2]: centers of the eyes, tip of the nose, corners of the mouth; left first.
    """
    eyes = [landmarks[:, eye].mean(axis=1) for eye in (slice(36, 42), slice(42, 48))]
    return np.stack([*eyes, *(landmarks[:, i] for i in (30, 48, 54))], axis=1)


def _aligned_points(pair: ClipPair) -> np.ndarray:
    """Five points [5, 2] by the still's landmarks where they are known, else of a mean face."""
    if pair.landmarks is not None and np.isfinite(pair.landmarks[0]).all():
        return five_points(pair.landmarks[:1])[0]
    height, width = pair.real.shape[1:3]
    return (_ALIGNED_POINTS + 0.5) * (width / 96, height / 128) - 0.5


def _content_digest(image: np.ndarray, points: np.ndarray) -> bytes:
    """Digest of all that an embedding depends on."""
    digest = hashlib.sha256(np.ascontiguousarray(image).data)
    digest.update(np.ascontiguousarray(points, np.float64).data)
    return digest.digest()
