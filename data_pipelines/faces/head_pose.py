"""Alignment error, movement and head pose from aligned landmarks."""

import cv2
import numpy as np

from data_pipelines.faces import alignment

# A head in mm, (x, y, z) from between the eyes: x to the right of the image, y down, z away from
# the camera. x and y are the mean of 12 GRID speakers, made symmetrical and scaled to 90 mm between
# the outer corners of the eyes; z is the mean depth that MediaPipe gives to 36 of their frames. So
# 0 degrees is where these speakers faced on average: the camera.
_HEAD = {
    27: (0, -2.5, 0),
    28: (0, 13.7, -9.1),
    29: (0, 27.6, -20.1),
    30: (0, 36.4, -22.3),
    31: (-16.8, 48.7, 4.4),
    33: (0, 53.2, -3.7),
    35: (16.8, 48.7, 4.4),
    36: (-45, -1, 22.5),
    39: (-19.4, 1, 17.3),
    42: (19.4, 1, 17.3),
    45: (45, -1, 22.5),
}
_DISTANCE = 1000.0  # mm, of the camera; unknown after alignment, and it matters little.


def residual(landmarks: np.ndarray, height: int, width: int) -> float:
    """Computes the largest distance of a stable point from its canonical position.

    Args:
      landmarks: [T, 68, 2], in pixels of the aligned frames.
      height: Pixels of the frames.
      width: Pixels of the frames.

    Returns:
      % of the height.
    """
    error = landmarks[:, list(alignment.STABLE)] - alignment.canonical_points(height, width)
    return 100 * float(np.linalg.norm(error, axis=-1).max()) / height


def jump(landmarks: np.ndarray, height: int) -> float:
    """Computes the largest movement from one frame to the next.

    Args:
      landmarks: [T, 68, 2], in pixels of the aligned frames.
      height: Pixels of the frames.

    Returns:
      % of the height, of the median landmark, so that neither mouth nor eyes count.
    """
    moves = np.linalg.norm(np.diff(landmarks, axis=0), axis=-1)
    return 100 * float(np.median(moves, axis=1).max(initial=0)) / height


def angles(landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Estimates the head pose by fitting a rigid head (perspective-n-point).

    Args:
      landmarks: [T, 68, 2], in pixels of the aligned frames.
      height: Pixels of the frames.
      width: Pixels of the frames.

    Returns:
      [T, 3]: yaw, pitch and roll in degrees. Positive is to the right of the image, up, and
      clockwise. Roll is what the alignment leaves.
    """
    head = np.array([*_HEAD.values()], np.float64)
    focal = camera_focal(height, width)
    camera = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    poses = []
    for points in np.ascontiguousarray(landmarks[:, [*_HEAD]], np.float64):
        # Without this guess, a head seen from behind fits too.
        guess = np.zeros(3), np.array([0, 0, _DISTANCE])
        _, rotation, _ = cv2.solvePnP(head, points, camera, np.zeros(4), *guess, True)
        matrix = cv2.Rodrigues(rotation)[0]
        nose, right = -matrix[:, 2], matrix[:, 0]
        yaw = np.arctan2(nose[0], -nose[2])
        pitch = np.arctan2(-nose[1], np.hypot(nose[0], nose[2]))
        poses.append([yaw, pitch, np.arctan2(right[1], right[0])])
    return np.degrees(poses)


def camera_focal(height: int, width: int) -> float:
    """Computes the focal length at which the rigid head is as large as the canonical face.

    Args:
      height: Pixels of the aligned frames.
      width: Pixels of the aligned frames.

    Returns:
      Pixels.
    """
    corners = alignment.canonical_points(height, width)[[1, 4]]
    eyes = np.linalg.norm(corners[1] - corners[0])
    return float(_DISTANCE * eyes / (_HEAD[45][0] - _HEAD[36][0]))
