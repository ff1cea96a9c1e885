"""A face found in an image, where it lies, and the upright crop around it."""

import dataclasses

import cv2
import numpy as np

from data_pipelines.faces import alignment

_STANDARD = (128, 96)  # Height and width of the aligned image that the tilt is measured to.


@dataclasses.dataclass(frozen=True)
class DetectedFace:
    """One face found in an image.

    Attributes:
      landmarks: float32 [68, 2], (x, y) in pixels; (0, 0) is the center of the first pixel.
      blink: 0 (open) to 1 (closed), mean of both eyes.
    """

    landmarks: np.ndarray
    blink: float


@dataclasses.dataclass(frozen=True)
class FaceRegion:
    """A square around a face, turned as the face is.

    Attributes:
      center: (x, y) in pixels; (0, 0) is the center of the first pixel.
      size: Pixels, of the longer side of the upright face.
      tilt: Degrees by which the face is rotated clockwise, -180 to 180.
    """

    center: tuple[float, float]
    size: float
    tilt: float

    def turned(self, degrees: float) -> "FaceRegion":
        """Turns the square about its center.

        Args:
          degrees: Clockwise.

        Returns:
          The region with another tilt.
        """
        return dataclasses.replace(self, tilt=wrap_degrees(self.tilt + degrees))


def wrap_degrees(degrees: float) -> float:
    """Reduces an angle to one turn.

    Args:
      degrees: Any angle.

    Returns:
      The same angle, above -180 and up to 180.
    """
    return 180 - (180 - degrees) % 360


def landmark_tilt(landmarks: np.ndarray) -> float:
    """Measures how far a face is tilted, by its stable points.

    Args:
      landmarks: [68, 2], (x, y) in pixels.

    Returns:
      Degrees clockwise, above -180 and up to 180.
    """
    return transform_tilt(alignment.face_transform(landmarks, *_STANDARD))


def transform_tilt(transform: np.ndarray) -> float:
    """Computes the tilt that a similarity transform undoes.

    Args:
      transform: [2, 3], from the image to the aligned image.

    Returns:
      Degrees clockwise, above -180 and up to 180.
    """
    return wrap_degrees(float(np.degrees(np.arctan2(-transform[1, 0], transform[0, 0]))))


def landmark_region(landmarks: np.ndarray) -> FaceRegion:
    """Computes the region of a face.

    Args:
      landmarks: [68, 2], (x, y) in pixels.

    Returns:
      The region.
    """
    tilt = landmark_tilt(landmarks)
    axes = _rotation(tilt)
    upright = landmarks @ axes.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    x, y = axes.T @ ((low + high) / 2)
    return FaceRegion((float(x), float(y)), float(max(high - low)), tilt)


def moved_region(region: FaceRegion, transform: np.ndarray) -> FaceRegion:
    """Applies a similarity transform to a region.

    Args:
      region: The region.
      transform: [2, 3].

    Returns:
      Where it lies in the other image.
    """
    x, y = alignment.transform_points(transform, np.array(region.center))
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    tilt = wrap_degrees(region.tilt - transform_tilt(transform))
    return FaceRegion((float(x), float(y)), scale * region.size, tilt)


def crop_region(
    image: np.ndarray, region: FaceRegion, margin: float, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Crops a face upright, with its surroundings.

    Args:
      image: uint8 [H, W, 3].
      region: Where the face lies.
      margin: Width of the crop, in sizes of the face.
      side: Pixels of the crop's sides.

    Returns:
      The crop, uint8 [side, side, 3], and the transform to it, [2, 3].
    """
    scale = side / (margin * region.size)
    reach = np.hypot(1, 1) / 2 * margin * region.size + 2 / scale  # Of the crop's corners.
    x, y = region.center
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    part = image[top : max(top, int(y + reach)) + 1, left : max(left, int(x + reach)) + 1]
    if not part.size:  # Beyond the image.
        part, left, top = image[-1:, -1:], image.shape[1] - 1, image.shape[0] - 1
    shrunk = np.ones(2)
    if scale < 1:  # Averaged over areas, where sampling would alias.
        size = [max(1, round(scale * length)) for length in part.shape[1::-1]]
        shrunk = np.array(size) / part.shape[1::-1]
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    matrix = scale * _rotation(region.tilt)
    transform = np.column_stack([matrix, np.full(2, (side - 1) / 2) - matrix @ region.center])
    # From the part's pixels to the crop's: (p + 0.5) / shrunk - 0.5 + (left, top) is in the image.
    from_part = transform.copy()
    from_part[:, :2] /= shrunk
    from_part[:, 2] += matrix @ ((left, top) + 0.5 / shrunk - 0.5)
    border = cv2.BORDER_REPLICATE
    return cv2.warpAffine(part, from_part, (side, side), borderMode=border), transform


def overlap(a: FaceRegion, b: FaceRegion) -> float:
    """Measures how far two regions cover each other, whatever their tilts.

    Args:
      a: One region.
      b: The other.

    Returns:
      Intersection over union of the two squares, as if upright; 0 to 1.
    """
    sizes = np.array([a.size, b.size])
    apart = np.abs(np.subtract(a.center, b.center))
    sides = np.clip(sizes.sum() / 2 - apart, 0, sizes.min())
    shared = float(sides.prod())
    return shared / (float((sizes**2).sum()) - shared)


def _rotation(tilt: float) -> np.ndarray:
    """Returns the matrix [2, 2] that turns a face of that tilt upright."""
    cos, sin = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    return np.array([[cos, sin], [-sin, cos]])
