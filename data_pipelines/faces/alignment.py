"""Aligns faces to the canonical face by a similarity transform (paper 3.1)."""

from collections.abc import Sequence

import cv2
import numpy as np

# Landmarks that neither speech nor expression moves: nose base, outer and inner eye corners.
STABLE = (33, 36, 39, 42, 45)
# Their positions (x, y) in an aligned 128x96 image.
CANONICAL = np.array(
    [[49.40, 71.82], [24.11, 43.39], [37.93, 44.15], [58.86, 43.23], [72.49, 42.03]]
)


def canonical_points(height: int, width: int) -> np.ndarray:
    """Scales the canonical face to an image size.

    Args:
      height: Pixels of the aligned image.
      width: Pixels of the aligned image.

    Returns:
      [5, 2], (x, y) of the stable points in pixels; (0, 0) is the center of the first pixel.
    """
    return (CANONICAL + 0.5) * (width / 96, height / 128) - 0.5


def fit_similarity(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fits the rotation, scale and translation that take points closest to target points.

    Least squares, without reflection. With points as complex numbers it is z -> a z + b.

    Args:
      points: [N, 2].
      target: [N, 2].

    Returns:
      The transform, [2, 3].
    """
    z, w = (np.asarray(p, np.float64) @ (1, 1j) for p in (points, target))
    centered = z - z.mean()
    a = (centered.conj() @ w) / (centered.conj() @ centered).real
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def transform_points(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Applies a transform to points.

    Args:
      transform: [2, 3].
      points: [..., 2], (x, y).

    Returns:
      [..., 2].
    """
    return points @ transform[:, :2].T + transform[:, 2]


def face_transform(
    landmarks: np.ndarray, height: int, width: int, face: Sequence[Sequence[float]] = ()
) -> np.ndarray:
    """Fits the transform from an image to an aligned image.

    Args:
      landmarks: [68, 2], (x, y) in pixels of the image.
      height: Pixels of the aligned image.
      width: Pixels of the aligned image.
      face: Five stable points (x, y) of another face than the canonical one.

    Returns:
      The transform, [2, 3].
    """
    target = np.array(face) if len(face) else canonical_points(height, width)
    return fit_similarity(landmarks[list(STABLE)], target)


def align(image: np.ndarray, transform: np.ndarray, height: int, width: int) -> np.ndarray:
    """Warps an image by a similarity transform, with its border replicated.

    A face that shrinks is warped at a whole multiple of the size, at which it does not shrink, and
    then averaged over areas: sampling it directly would alias.

    Args:
      image: uint8 [H, W, 3].
      transform: [2, 3], from the image to the result.
      height: Pixels of the result.
      width: Pixels of the result.

    Returns:
      uint8 [height, width, 3].
    """
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    k = max(1, int(np.ceil(1 / scale - 1e-6)))
    enlarged = k * transform
    enlarged[:, 2] += (k - 1) / 2  # Pixel centers are whole numbers at both sizes.
    interpolation = cv2.INTER_LINEAR if k > 1 else cv2.INTER_CUBIC
    size = (k * width, k * height)
    border = cv2.BORDER_REPLICATE
    warped = cv2.warpAffine(image, enlarged, size, flags=interpolation, borderMode=border)
    return warped if k == 1 else cv2.resize(warped, (width, height), interpolation=cv2.INTER_AREA)
