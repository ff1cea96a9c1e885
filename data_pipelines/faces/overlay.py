"""Draws what was found in a portrait: faces, landmarks, head pose and the model's crop."""

from collections.abc import Sequence

import cv2
import numpy as np

from data_pipelines.faces import alignment, head_pose

_HEIGHT = 512  # Pixels of each panel.
_MAX_ASPECT = 2.0  # Width over height of a panel.
_GAP = 8  # Pixels between panels.
_POSE_SIZE = (128, 96)  # Height and width of the crop that the pose is measured in.
_MARGIN = 0.6  # Of the crop's size, which the middle panel shows on each side of it.
_CROP_COLOR, _POINT_COLOR = (0, 220, 255), (80, 255, 80)
_NOSE_COLOR, _OTHER_COLOR = (255, 60, 60), (160, 160, 160)
_ARROW = 0.6  # Length for a head in profile, of the distance between the eyes.


def draw(
    image: np.ndarray,
    landmarks: Sequence[np.ndarray],
    height: int,
    width: int,
    transform: np.ndarray | None = None,
) -> np.ndarray:
    """Draws three panels: the whole image, the face and the model's crop.

    The first has the crop's outline and boxes around other faces; the second, landmarks and an
    arrow to where the nose points; the third is the crop at the model's size.

    Args:
      image: uint8 [H, W, 3], RGB.
      landmarks: [68, 2] of each face; the first one is the one to animate.
      height: Pixels of the crop.
      width: Pixels of the crop.
      transform: [2, 3], from the image to the crop, if it is not that to the canonical face.

    Returns:
      uint8 [h, w, 3], RGB.
    """
    if transform is None:
        transform = alignment.face_transform(landmarks[0], height, width)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    outline = alignment.transform_points(cv2.invertAffineTransform(transform), corners)
    whole, to_whole = _fitted(image, np.array([[0, 0], image.shape[1::-1]]) - 0.5)
    for other in landmarks[1:]:
        _polygon(whole, to_whole, _box(other), _OTHER_COLOR)
    _polygon(whole, to_whole, outline, _CROP_COLOR)
    size = np.ptp(outline, axis=0)
    close, to_close = _fitted(image, _box(outline)[[0, 2]] + _MARGIN * np.array([-size, size]))
    _polygon(close, to_close, outline, _CROP_COLOR)
    _dots(close, to_close, landmarks[0])
    _arrow(close, to_close, landmarks[0])
    crop = alignment.align(image, transform, height, width)
    size = round(_HEIGHT * width / height), _HEIGHT
    panel = cv2.resize(crop, size, interpolation=cv2.INTER_NEAREST)
    gap = np.full((_HEIGHT, _GAP, 3), 255, np.uint8)
    return np.hstack([whole, gap, close, gap, panel])


def _box(points: np.ndarray) -> np.ndarray:
    """Returns the four corners around points [N, 2], clockwise from the upper left."""
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _fitted(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the part of an image between two corners as a panel, and the transform to it."""
    limits = np.array(image.shape[1::-1]) - 0.5
    (x0, y0), (x1, y1) = np.clip(box, -0.5, limits)
    scale = min(_HEIGHT / max(y1 - y0, 1.0), _MAX_ASPECT * _HEIGHT / max(x1 - x0, 1.0))
    width = max(1, round(scale * (x1 - x0)))
    shift = -scale * np.array((x0, y0)) + (0, (_HEIGHT - scale * (y1 - y0)) / 2) - 0.5
    transform = np.column_stack([scale * np.eye(2), shift])
    return alignment.align(image, transform, _HEIGHT, width), transform


def _polygon(
    panel: np.ndarray, transform: np.ndarray, points: np.ndarray, color: tuple[int, int, int]
) -> None:
    corners = np.rint(alignment.transform_points(transform, points)).astype(np.int32)
    cv2.polylines(panel, [corners], True, color, 2, cv2.LINE_AA)


def _dots(panel: np.ndarray, transform: np.ndarray, landmarks: np.ndarray) -> None:
    for center in np.rint(alignment.transform_points(transform, landmarks)).astype(int).tolist():
        cv2.circle(panel, center, 2, _POINT_COLOR, -1, cv2.LINE_AA)


def _arrow(panel: np.ndarray, transform: np.ndarray, landmarks: np.ndarray) -> None:
    """From the tip of the nose to where it points; its length grows with the head's rotation."""
    to_crop = alignment.face_transform(landmarks, *_POSE_SIZE)
    aligned = alignment.transform_points(to_crop, landmarks)
    yaw, pitch, _ = np.radians(head_pose.angles(aligned[None], *_POSE_SIZE)[0])
    eyes = np.linalg.norm(aligned[45] - aligned[36])
    direction = _ARROW * eyes * np.array((np.sin(yaw) * np.cos(pitch), -np.sin(pitch)))
    ends = np.array([aligned[30], aligned[30] + direction])
    in_image = alignment.transform_points(cv2.invertAffineTransform(to_crop), ends)
    start, end = np.rint(alignment.transform_points(transform, in_image)).astype(int).tolist()
    cv2.arrowedLine(panel, start, end, _NOSE_COLOR, 3, cv2.LINE_AA, tipLength=0.3)
