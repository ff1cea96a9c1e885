"""A picture of what was found in a portrait: the face, how it is turned, and the model's crop."""

from collections.abc import Sequence

import cv2
import numpy as np

from data_pipelines.faces import alignment, head_pose

_HEIGHT = 512  # Pixels, of each panel.
_WIDEST = 2.0  # Times its height that a panel may be wide.
_GAP = 8
_SIZE = (128, 96)  # Height and width of the crop that the pose is measured in.
_AROUND = 0.6  # Of the crop's size, that the middle panel shows to each side of it.
_CROP, _POINT, _NOSE, _OTHER = (0, 220, 255), (80, 255, 80), (255, 60, 60), (160, 160, 160)
_ARROW = 0.6  # Of the distance between the eyes, for a head in profile.


def draw(
    image: np.ndarray,
    landmarks: Sequence[np.ndarray],
    height: int,
    width: int,
    transform: np.ndarray | None = None,
) -> np.ndarray:
    """uint8 [H, W, 3] RGB and its faces' landmarks [68, 2], that which is taken first -> a picture.

    From the left: all of it, with the crop's outline and other faces; the face, with its landmarks
    and where the nose points to; the crop as a model of height x width sees it. uint8 [h, w, 3].
    transform: as in portraits.measure.
    """
    if transform is None:
        transform = alignment.face_transform(landmarks[0], height, width)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    outline = alignment.transform_points(cv2.invertAffineTransform(transform), corners)
    whole, to_whole = _fitted(image, np.array([[0, 0], image.shape[1::-1]]) - 0.5)
    for other in landmarks[1:]:
        _polygon(whole, to_whole, _box(other), _OTHER)
    _polygon(whole, to_whole, outline, _CROP)
    size = np.ptp(outline, axis=0)
    close, to_close = _fitted(image, _box(outline)[[0, 2]] + _AROUND * np.array([-size, size]))
    _polygon(close, to_close, outline, _CROP)
    _dots(close, to_close, landmarks[0])
    _arrow(close, to_close, landmarks[0])
    crop = alignment.align(image, transform, height, width)
    size = round(_HEIGHT * width / height), _HEIGHT
    seen = cv2.resize(crop, size, interpolation=cv2.INTER_NEAREST)
    gap = np.full((_HEIGHT, _GAP, 3), 255, np.uint8)
    return np.hstack([whole, gap, close, gap, seen])


def _box(points: np.ndarray) -> np.ndarray:
    """The four corners around points [N, 2], clockwise from the upper left."""
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _fitted(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture between two corners, as a panel, and the transform [2, 3] to it."""
    limits = np.array(image.shape[1::-1]) - 0.5
    (x0, y0), (x1, y1) = np.clip(box, -0.5, limits)
    scale = min(_HEIGHT / max(y1 - y0, 1.0), _WIDEST * _HEIGHT / max(x1 - x0, 1.0))
    wide = max(1, round(scale * (x1 - x0)))
    shift = -scale * np.array((x0, y0)) + (0, (_HEIGHT - scale * (y1 - y0)) / 2) - 0.5
    transform = np.column_stack([scale * np.eye(2), shift])
    return alignment.align(image, transform, _HEIGHT, wide), transform


def _polygon(panel: np.ndarray, transform: np.ndarray, points: np.ndarray, colour) -> None:
    drawn = np.rint(alignment.transform_points(transform, points)).astype(np.int32)
    cv2.polylines(panel, [drawn], True, colour, 2, cv2.LINE_AA)


def _dots(panel: np.ndarray, transform: np.ndarray, landmarks: np.ndarray) -> None:
    for place in np.rint(alignment.transform_points(transform, landmarks)).astype(int).tolist():
        cv2.circle(panel, place, 2, _POINT, -1, cv2.LINE_AA)


def _arrow(panel: np.ndarray, transform: np.ndarray, landmarks: np.ndarray) -> None:
    """From the tip of the nose to where it points; the longer, the more the head is turned."""
    to_crop = alignment.face_transform(landmarks, *_SIZE)
    aligned = alignment.transform_points(to_crop, landmarks)
    yaw, pitch, _ = np.radians(head_pose.angles(aligned[None], *_SIZE)[0])
    eyes = np.linalg.norm(aligned[45] - aligned[36])
    towards = _ARROW * eyes * np.array((np.sin(yaw) * np.cos(pitch), -np.sin(pitch)))
    ends = np.array([aligned[30], aligned[30] + towards])
    in_image = alignment.transform_points(cv2.invertAffineTransform(to_crop), ends)
    start, end = np.rint(alignment.transform_points(transform, in_image)).astype(int).tolist()
    cv2.arrowedLine(panel, start, end, _NOSE, 3, cv2.LINE_AA, tipLength=0.3)
