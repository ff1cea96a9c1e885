"""Smooth warps that change the proportions of an aligned face, for training examples."""

import dataclasses

import numpy as np

from data_pipelines.faces import alignment

# Ranges at strength 1: logarithms of factors but for WAVE, a share of the image's width. Measured on
# 200 warps each of the mean faces of 11 speakers of GRID: the five aligned points move by 1.0 % of
# the width on average, 9 of 10 by at most 1.9 %, none by more than 4.7 %; the mouth's centre by 2.8,
# 5.1 and 9.1 %; it becomes 0.74 to 1.28 times as wide; areas change by factors of 0.56 to 1.64.
ASPECT = 0.10  # Width to height of the whole face.
LOWER_FACE = 0.18  # Height of what lies below the eyes, so the distance from eyes to mouth.
JAW = 0.22  # Width at the chin; it falls to none at the eyes.
WAVE = 0.012  # Amplitude of each of the waves that displace the points.
_WAVES = 4  # Along each axis.
_CYCLES = 1.0  # Per image width, at most.
_CHIN = 0.52  # The chin lies this share of the image's height below the eyes.
_ROUNDNESS = 0.1  # How wide the bend at the eye line is, in image heights.
_STEPS = 12  # Of the inversion; each reduces the error by more than half.


@dataclasses.dataclass(frozen=True)
class FaceWarp:
    """A smooth map of the image plane, after which the face is aligned anew.

    Attributes:
      size: (width, height) of the image, pixels.
      center: (x, y) of the middle between the eyes, pixels.
      aspect: Factor of the face's width.
      lower_face: Factor of the height below the eyes.
      jaw: Factor of the width at the chin.
      waves: For x and y, rows of amplitude in pixels, two frequencies in radians/pixel, and phase in
        radians; [2, N, 4].
      realign: Similarity [2, 3] that is applied to what the others give.
    """

    size: tuple[int, int]
    center: tuple[float, float]
    aspect: float
    lower_face: float
    jaw: float
    waves: np.ndarray
    realign: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(2, 3))

    def source(self, points: np.ndarray) -> np.ndarray:
        """Finds where points of the warped image come from.

        Args:
          points: float32 or float64 [..., 2], (x, y) in pixels.

        Returns:
          Of the same dtype, [..., 2], pixels of the image before the warp.
        """
        matrix = np.linalg.inv(np.vstack([self.realign, [0, 0, 1]]))[:2].astype(points.dtype)
        return self._deformed(alignment.transform_points(matrix, points))

    def warped(self, points: np.ndarray) -> np.ndarray:
        """Finds where points of the image are after the warp; the inverse of `source`.

        Args:
          points: [..., 2], (x, y) in pixels.

        Returns:
          [..., 2].
        """
        moved = points = np.asarray(points, np.float64)
        for _ in range(_STEPS):
            moved = moved + points - self._deformed(moved)
        return alignment.transform_points(self.realign, moved)

    def maps(self) -> np.ndarray:
        """Tabulates `source` at every pixel.

        Returns:
          (x, y), float32 [H, W, 2].
        """
        width, height = self.size
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        return self.source(np.stack([x, y], -1).astype(np.float32))  # float64 takes twice as long.

    def _deformed(self, points: np.ndarray) -> np.ndarray:
        """`source` without the alignment."""
        width, height = self.size
        u = (points[..., 0] - self.center[0]) / width
        v = (points[..., 1] - self.center[1]) / height
        below = (v + np.hypot(v, _ROUNDNESS)) / 2  # A smooth max(v, 0).
        u = u / self.aspect * self.jaw ** -(below / _CHIN)
        v = v + below * (1 / self.lower_face - 1)
        x, y = self.center[0] + width * u, self.center[1] + height * v
        return np.stack([x, y], -1) + self._waves(points)

    def _waves(self, points: np.ndarray) -> np.ndarray:
        amplitude, along_x, along_y, phase = np.moveaxis(self.waves.astype(points.dtype), -1, 0)
        x, y = points[..., 0, None, None], points[..., 1, None, None]
        return np.sum(amplitude * np.sin(along_x * x + along_y * y + phase), -1)


def draw_warp(
    landmarks: np.ndarray, size: tuple[int, int], strength: float, rng: np.random.Generator
) -> FaceWarp:
    """Draws a warp, and fits the alignment that brings the stable points back.

    Args:
      landmarks: A face's iBUG points, [68, 2], pixels.
      size: (width, height) of the image, pixels.
      strength: Factor of all ranges, 0 to 1.
      rng: Source of randomness.

    Returns:
      The warp, under which the stable points move as little as a similarity can achieve.
    """
    aspect, lower_face, jaw = (
        float(np.exp(rng.uniform(-strength, strength) * most)) for most in (ASPECT, LOWER_FACE, JAW)
    )
    ranges = np.array([strength * WAVE * size[0], *(2 * np.pi * _CYCLES / size[0],) * 2, np.pi])
    waves = rng.uniform(-ranges, ranges, (2, _WAVES, 4))
    x, y = landmarks[36:48].mean(axis=0)
    warp = FaceWarp(size, (float(x), float(y)), aspect, lower_face, jaw, waves)
    stable = landmarks[list(alignment.STABLE)]
    realign = alignment.fit_similarity(warp.warped(stable), stable)
    return dataclasses.replace(warp, realign=realign)
