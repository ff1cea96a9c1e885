"""Measures whether a portrait is similar enough to training frames to be animated well.

Each limit lies between the values of 115 frames of 13 GRID speakers, which its comment gives first,
and those of the same frames shrunk, blurred, darkened or with covered eyes.
"""

import dataclasses

import cv2
import numpy as np

from data_pipelines.faces import alignment, head_pose, measures, regions

# Scale from the image to the crop. GRID: 0.31 to 0.81. At 1.5 the landmarks are off by 0.8
# pixels of the crop, which is no sharper than the softest of GRID's; at 3, by 2.5.
MAX_ENLARGED = 1.5
# Share of the crop that lies outside the image, where its border is replicated. GRID: up to 0.11.
MAX_OUTSIDE = 0.15
# Degrees. GRID: -6 to 9 and -9 to 11; half a pixel of noise in the landmarks makes 5.
MAX_YAW = MAX_PITCH = 20.0
# Eye aspect ratio. GRID: 0.26 to 0.44 but for blinks; half closed, 0.15.
MIN_EYES_OPEN = 0.15
# Contrast of an eye, and its light parts, relative to the cheek's brightness. GRID: at least 0.22
# and 0.65. Behind glasses that let 30 % of the light through: 0.14 and 0.46 at most; behind brown
# ones, 0.07 and 0.63.
MIN_EYE_CONTRAST, MIN_EYE_LIGHT = 0.15, 0.5
# RMS of the Laplacian over that of the gradient. GRID: at least 1.1, and 0.95 where the image is as
# small as the crop; after a Gaussian blur of 1 pixel of the crop: 0.64 to 0.74.
MIN_SHARPNESS = 0.75
# 95th percentile of the crop's brightness, of 255. GRID: at least 158; with a quarter of the light:
# 39 to 49. Of the crop, not of the skin, since dark skin is no fault.
MIN_LIGHT = 64.0

_STANDARD = (128, 96)  # Height and width of the crop that eyes, pose and light are measured in.
_EYES = (  # Each with landmarks around the cheek below it.
    (slice(36, 42), (48, 31, 2)),
    (slice(42, 48), (54, 35, 14)),
)
_DARK_PERCENTILE, _LIGHT_PERCENTILE = 10, 90  # Of an eye's pixels.


@dataclasses.dataclass(frozen=True)
class PortraitQuality:
    """Measures of a face in an image, and of its crop.

    Attributes:
      eyes: Pixels of the image between the eyes' outer corners.
      enlarged: Scale from the image to the crop.
      outside: Share of the crop outside the image, 0 to 1.
      yaw: Degrees; positive to the right of the image.
      pitch: Degrees; positive is up.
      tilt: Degrees by which the head is rotated clockwise in the image; the crop undoes it.
      eyes_open: Eye aspect ratio.
      eye_contrast: Light minus dark parts of an eye over its cheek's brightness; the lower of both.
      eye_light: Light parts of an eye over its cheek's brightness; the lower of both.
      sharpness: RMS of the Laplacian over that of the gradient.
      light: 95th percentile of the crop's brightness, of 255.
    """

    eyes: float
    enlarged: float
    outside: float
    yaw: float
    pitch: float
    tilt: float
    eyes_open: float
    eye_contrast: float
    eye_light: float
    sharpness: float
    light: float


def measure(
    image: np.ndarray,
    landmarks: np.ndarray,
    height: int,
    width: int,
    transform: np.ndarray | None = None,
) -> PortraitQuality:
    """Measures a portrait.

    Args:
      image: uint8 [H, W, 3], RGB.
      landmarks: [68, 2], of the face in it.
      height: Pixels of the model's crop.
      width: Pixels of the model's crop.
      transform: [2, 3], from the image to the crop, if it is not that to the canonical face.

    Returns:
      The measures.
    """
    if transform is None:
        transform = alignment.face_transform(landmarks, height, width)
    crop = _grey(image, transform, height, width)
    # Always the paper's crop: in the model's, eyes may have few pixels or lie elsewhere.
    to_standard = alignment.face_transform(landmarks, *_STANDARD)
    points = alignment.transform_points(to_standard, landmarks)
    standard = _grey(image, to_standard, *_STANDARD)
    yaw, pitch, _ = head_pose.angles(points[None], *_STANDARD)[0]
    contrasts, lights = zip(*(_eye(standard, points, *parts) for parts in _EYES), strict=True)
    return PortraitQuality(
        eyes=float(np.linalg.norm(landmarks[45] - landmarks[36])),
        enlarged=float(np.sqrt(abs(np.linalg.det(transform[:, :2])))),
        outside=_outside(transform, image.shape, height, width),
        yaw=float(yaw),
        pitch=float(pitch),
        tilt=regions.transform_tilt(transform),
        eyes_open=float(measures.eye_aspect_ratio(landmarks[None])[0]),
        eye_contrast=min(contrasts),
        eye_light=min(lights),
        sharpness=_sharpness(crop),
        light=float(np.percentile(standard, 95)),
    )


def portrait_warnings(
    image: np.ndarray,
    landmarks: np.ndarray,
    height: int,
    width: int,
    transform: np.ndarray | None = None,
) -> list[str]:
    """Measures a portrait and lists in which ways it is unlike training frames.

    Args:
      image: uint8 [H, W, 3], RGB.
      landmarks: [68, 2], of the face in it.
      height: Pixels of the model's crop.
      width: Pixels of the model's crop.
      transform: [2, 3], from the image to the crop, if it is not that to the canonical face.

    Returns:
      One sentence for each, with its cure.
    """
    return quality_warnings(measure(image, landmarks, height, width, transform))


def quality_warnings(portrait: PortraitQuality) -> list[str]:
    """Lists in which ways a portrait is unlike training frames.

    Args:
      portrait: Measures of the portrait.

    Returns:
      One sentence for each, with its cure.
    """
    warnings, p = [], portrait
    if p.enlarged > MAX_ENLARGED:
        warnings.append(
            f"the face is small (its eyes are {p.eyes:.0f} pixels apart, and the model's crop"
            f" enlarges it {p.enlarged:.1f} times): give a larger picture, with eyes"
            f" {np.ceil(p.eyes * p.enlarged / MAX_ENLARGED):.0f} pixels apart or more"
        )
    elif p.sharpness < MIN_SHARPNESS:  # An enlarged face is blurred anyway.
        warnings.append(
            f"the face is blurred (detail {p.sharpness:.2f}, under {MIN_SHARPNESS}): give a sharper"
            " picture"
        )
    if p.outside > MAX_OUTSIDE:
        warnings.append(
            f"{100 * p.outside:.0f} % of the model's crop lie outside the picture (over"
            f" {100 * MAX_OUTSIDE:.0f} %): give one with room around the face"
        )
    if abs(p.yaw) > MAX_YAW or abs(p.pitch) > MAX_PITCH:
        warnings.append(
            f"the head is turned away (yaw {p.yaw:.0f}, pitch {p.pitch:.0f} degrees; over"
            f" {MAX_YAW:.0f}): give a frontal picture"
        )
    if p.light < MIN_LIGHT:
        warnings.append(
            f"the face is dark (light parts at {p.light:.0f} of 255, under {MIN_LIGHT:.0f}): give a"
            " brighter picture"
        )
    elif p.eye_light < MIN_EYE_LIGHT or p.eye_contrast < MIN_EYE_CONTRAST:
        warnings.append(
            f"the eyes cannot be seen well (brightness {p.eye_light:.2f} and contrast"
            f" {p.eye_contrast:.2f} of the cheek's, under {MIN_EYE_LIGHT} or {MIN_EYE_CONTRAST}):"
            " give a picture without sunglasses, hair or a shadow over them"
        )
    if p.eyes_open < MIN_EYES_OPEN:
        warnings.append(
            f"the eyes are closed (aspect ratio {p.eyes_open:.2f}, under {MIN_EYES_OPEN}): give a"
            " picture with open ones"
        )
    return warnings


def _grey(image: np.ndarray, transform: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns the crop's brightness, float32 [height, width], 0 to 255."""
    crop = alignment.align(image, transform, height, width)
    return cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _outside(transform: np.ndarray, shape: tuple[int, ...], height: int, width: int) -> float:
    """Returns the share of a crop's pixels that lie outside an image of that shape."""
    y, x = np.mgrid[:height, :width]
    inverse = cv2.invertAffineTransform(transform)
    points = alignment.transform_points(inverse, np.stack([x, y], axis=-1).astype(np.float64))
    inside = (points > -0.5) & (points < np.array((shape[1], shape[0])) - 0.5)
    return 1 - float(inside.all(axis=-1).mean())


def _eye(
    grey: np.ndarray, landmarks: np.ndarray, eye: slice, cheek: tuple[int, ...]
) -> tuple[float, float]:
    """Returns contrast and light parts of an eye with its lids, relative to the cheek."""
    points = landmarks[eye].astype(np.float64)
    width = float(np.linalg.norm(points[0] - points[3]))
    pixels = _ellipse(grey, points.mean(axis=0), (1.1 * width, 0.55 * width))
    center = landmarks[list(cheek)].mean(axis=0)
    skin = float(np.median(_ellipse(grey, center, (0.6 * width, 0.6 * width))))
    dark, light = np.percentile(pixels, (_DARK_PERCENTILE, _LIGHT_PERCENTILE)) / max(skin, 1.0)
    return float(light - dark), float(light)


def _ellipse(grey: np.ndarray, center: np.ndarray, axes: tuple[float, float]) -> np.ndarray:
    """Returns the pixels within an ellipse of these axes, or the nearest one."""
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    distance = ((x - center[0]) / axes[0]) ** 2 + ((y - center[1]) / axes[1]) ** 2
    return grey[distance <= max(0.25, float(distance.min()))]


def _sharpness(grey: np.ndarray) -> float:
    """Returns the sharpness of the middle of the face, without hair and background."""
    height, width = grey.shape
    middle = slice(height // 4, -(height // 7)), slice(width // 6, -(width // 6))
    laplacian = cv2.Laplacian(grey, cv2.CV_32F)[middle]
    gradients = [cv2.Sobel(grey, cv2.CV_32F, *axis)[middle] / 8 for axis in ((1, 0), (0, 1))]
    contrast = sum(float((gradient**2).mean()) for gradient in gradients)
    return float(np.sqrt((laplacian**2).mean() / contrast)) if contrast else 0.0
