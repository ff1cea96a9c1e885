"""The similarity transform of a face to the canonical face (paper 3.1)."""

from collections.abc import Sequence

import cv2
import numpy as np

# The points that neither speech nor expression moves: nose base, outer and inner eye corners.
STABLE = (33, 36, 39, 42, 45)


# Where they lie (x, y) in an aligned 128 x 96 image.
CANONICAL = np.array(
    [[49.40, 71.82], [24.11, 43.39], [37.93, 44.15], [58.86, 43.23], [72.49, 42.03]]
)


def canonical_points(height: int, width: int) -> np.ndarray:
    """The five stable points (x, y) of an aligned height x width image, [5, 2]."""
    return (CANONICAL + 0.5) * (width / 96, height / 128) - 0.5


def fit_similarity(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation, scale and shift [2, 3] that takes points [N, 2] closest to target [N, 2].

    Least squares; never a reflection. With points as complex numbers it is z -> a z + b.
    """
    z, w = (np.asarray(p, np.float64) @ (1, 1j) for p in (points, target))
    centred = z - z.mean()
    a = (centred.conj() @ w) / (centred.conj() @ centred).real
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def transform_points(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [..., 2] through a transform [2, 3]."""
    return points @ transform[:, :2].T + transform[:, 2]


def face_transform(
    landmarks: np.ndarray, height: int, width: int, face: Sequence[Sequence[float]] = ()
) -> np.ndarray:
    """Landmarks [68, 2] of an image -> its transform [2, 3] to the canonical face, or to another
    one, given by its five stable points (x, y)."""
    target = np.array(face) if len(face) else canonical_points(height, width)
    return fit_similarity(landmarks[list(STABLE)], target)


def align(image: np.ndarray, transform: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image uint8 [H, W, 3] seen through a similarity -> uint8 [height, width, 3].

    A face that shrinks is drawn at a whole multiple of the size, no smaller than it was, and then
    averaged over areas: sampling it straight away would alias.
    """
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    k = max(1, int(np.ceil(1 / scale - 1e-6)))
    enlarged = k * transform
    enlarged[:, 2] += (k - 1) / 2  # Pixel centres are whole numbers at both sizes.
    interpolation = cv2.INTER_LINEAR if k > 1 else cv2.INTER_CUBIC
    size = (k * width, k * height)
    border = cv2.BORDER_REPLICATE
    drawn = cv2.warpAffine(image, enlarged, size, flags=interpolation, borderMode=border)
    return drawn if k == 1 else cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
