"""Whether a portrait is one that the model can be expected to animate: like those it was trained on.

Each limit lies between 13 GRID speakers, whose 115 frames give the first figure of its comment, and
what the same frames give when they are shrunk, blurred, darkened or their eyes covered.
"""

import dataclasses

import cv2
import numpy as np

from data_pipelines.faces import alignment, head_pose, measures

# Times that the crop enlarges the picture. GRID: 0.31 to 0.81. At 1.5 the landmarks are off by 0.8
# pixels of the crop, which is no sharper than the softest of GRID's; at 3, by 2.5.
MAX_ENLARGED = 1.5
# Share of the crop that lies outside the picture and repeats its border. GRID: up to 0.11.
MAX_OUTSIDE = 0.15
# Degrees. GRID: -6 to 9 and -9 to 11; half a pixel of noise in the landmarks makes 5.
MAX_YAW = MAX_PITCH = 20.0
# Aspect ratio of the eyes. GRID: 0.26 to 0.44 but for blinks; half closed, 0.15.
MIN_EYES_OPEN = 0.15
# Light over dark parts of an eye, and its light parts, by the cheek's brightness. GRID: 0.22 and 0.65
# at least. Behind glasses that let 30 % of the light through: 0.14 and 0.46 at most; behind brown
# ones, 0.07 and 0.63.
MIN_EYE_CONTRAST, MIN_EYE_LIGHT = 0.15, 0.5
# Detail by contrast: RMS of the Laplacian over that of the gradient. GRID: 1.1 at least, and 0.95 where
# the picture is as small as the crop; after a Gaussian of 1 pixel of the crop: 0.64 to 0.74.
MIN_SHARPNESS = 0.75
# Brightness of 255, that 5 % of the crop exceed. GRID: 158 at least; with a quarter of the light: 39 to
# 49. Of the crop, not of the skin, whose colour is no fault.
MIN_LIGHT = 64.0

_STANDARD = (128, 96)  # Height and width of the crop that eyes, pose and light are measured in.
_EYES = (  # Each with what lies round the cheek under it.
    (slice(36, 42), (48, 31, 2)),
    (slice(42, 48), (54, 35, 14)),
)
_DARK, _LIGHT = 10, 90  # Percentiles of an eye's pixels.


@dataclasses.dataclass(frozen=True)
class PortraitQuality:
    """What can be measured of a face in a picture, and of its crop."""

    eyes: float  # Pixels of the picture between the eyes' outer corners.
    enlarged: float  # Times that the crop enlarges the picture.
    outside: float  # Share of the crop outside the picture, 0 to 1.
    yaw: float  # Degrees; to the right of the picture is positive.
    pitch: float  # Degrees; up is positive.
    tilt: float  # Degrees that the picture shows the head turned clockwise, which the crop undoes.
    eyes_open: float  # Aspect ratio.
    eye_contrast: float  # Light less dark parts of the eye that has less of it, over its cheek.
    eye_light: float  # Light parts of the darker eye over its cheek.
    sharpness: float  # Detail over contrast.
    light: float  # Of 255.


def measure(
    image: np.ndarray,
    landmarks: np.ndarray,
    height: int,
    width: int,
    transform: np.ndarray | None = None,
) -> PortraitQuality:
    """uint8 [H, W, 3] RGB, a face's landmarks [68, 2] in it, the size of the model's crop.

    transform [2, 3]: from the picture to the crop, where that is not to the canonical face.
    """
    if transform is None:
        transform = alignment.face_transform(landmarks, height, width)
    crop = _grey(image, transform, height, width)
    # The paper's crop whatever the model's, whose eyes may be of few pixels, or elsewhere.
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
        tilt=float(np.degrees(np.arctan2(-transform[1, 0], transform[0, 0]))),
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
    """The same -> in which ways it is outside what the model was trained on, a sentence each."""
    return quality_warnings(measure(image, landmarks, height, width, transform))


def quality_warnings(portrait: PortraitQuality) -> list[str]:
    """In which ways it is outside what the model was trained on, a sentence each with its cure."""
    found, p = [], portrait
    if p.enlarged > MAX_ENLARGED:
        found.append(
            f"the face is small (its eyes are {p.eyes:.0f} pixels apart, and the model's crop"
            f" enlarges it {p.enlarged:.1f} times): give a larger picture, with eyes"
            f" {np.ceil(p.eyes * p.enlarged / MAX_ENLARGED):.0f} pixels apart or more"
        )
    elif p.sharpness < MIN_SHARPNESS:  # Who enlarges, blurs.
        found.append(
            f"the face is blurred (detail {p.sharpness:.2f}, under {MIN_SHARPNESS}): give a sharper"
            " picture"
        )
    if p.outside > MAX_OUTSIDE:
        found.append(
            f"{100 * p.outside:.0f} % of the model's crop lie outside the picture (over"
            f" {100 * MAX_OUTSIDE:.0f} %): give one with room around the face"
        )
    if abs(p.yaw) > MAX_YAW or abs(p.pitch) > MAX_PITCH:
        found.append(
            f"the head is turned away (yaw {p.yaw:.0f}, pitch {p.pitch:.0f} degrees; over"
            f" {MAX_YAW:.0f}): give a frontal picture"
        )
    if p.light < MIN_LIGHT:
        found.append(
            f"the face is dark (light parts at {p.light:.0f} of 255, under {MIN_LIGHT:.0f}): give a"
            " brighter picture"
        )
    elif p.eye_light < MIN_EYE_LIGHT or p.eye_contrast < MIN_EYE_CONTRAST:
        found.append(
            f"the eyes cannot be seen well (brightness {p.eye_light:.2f} and contrast"
            f" {p.eye_contrast:.2f} of the cheek's, under {MIN_EYE_LIGHT} or {MIN_EYE_CONTRAST}):"
            " give a picture without sunglasses, hair or a shadow over them"
        )
    if p.eyes_open < MIN_EYES_OPEN:
        found.append(
            f"the eyes are closed (aspect ratio {p.eyes_open:.2f}, under {MIN_EYES_OPEN}): give a"
            " picture with open ones"
        )
    return found


def _grey(image: np.ndarray, transform: np.ndarray, height: int, width: int) -> np.ndarray:
    """The crop's brightness, float32 [height, width], 0 to 255."""
    crop = alignment.align(image, transform, height, width)
    return cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _outside(transform: np.ndarray, shape: tuple[int, ...], height: int, width: int) -> float:
    """The share of a crop's pixels that lie outside a picture of that shape."""
    y, x = np.mgrid[:height, :width]
    inverse = cv2.invertAffineTransform(transform)
    points = alignment.transform_points(inverse, np.stack([x, y], axis=-1).astype(np.float64))
    inside = (points > -0.5) & (points < np.array((shape[1], shape[0])) - 0.5)
    return 1 - float(inside.all(axis=-1).mean())


def _eye(
    grey: np.ndarray, landmarks: np.ndarray, eye: slice, cheek: tuple[int, ...]
) -> tuple[float, float]:
    """The crop, its landmarks -> contrast and brightness of an eye with its lids, over the cheek."""
    points = landmarks[eye].astype(np.float64)
    width = float(np.linalg.norm(points[0] - points[3]))
    pixels = _ellipse(grey, points.mean(axis=0), (1.1 * width, 0.55 * width))
    middle = landmarks[list(cheek)].mean(axis=0)
    skin = float(np.median(_ellipse(grey, middle, (0.6 * width, 0.6 * width))))
    dark, light = np.percentile(pixels, (_DARK, _LIGHT)) / max(skin, 1.0)
    return float(light - dark), float(light)


def _ellipse(grey: np.ndarray, middle: np.ndarray, axes: tuple[float, float]) -> np.ndarray:
    """The pixels in an ellipse of these axes, or the nearest one where it holds none."""
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    distance = ((x - middle[0]) / axes[0]) ** 2 + ((y - middle[1]) / axes[1]) ** 2
    return grey[distance <= max(0.25, float(distance.min()))]


def _sharpness(grey: np.ndarray) -> float:
    """Of the face's middle, which hair and background are not in."""
    height, width = grey.shape
    middle = slice(height // 4, -(height // 7)), slice(width // 6, -(width // 6))
    laplacian = cv2.Laplacian(grey, cv2.CV_32F)[middle]
    gradients = [cv2.Sobel(grey, cv2.CV_32F, *axis)[middle] / 8 for axis in ((1, 0), (0, 1))]
    contrast = sum(float((gradient**2).mean()) for gradient in gradients)
    return float(np.sqrt((laplacian**2).mean() / contrast)) if contrast else 0.0
