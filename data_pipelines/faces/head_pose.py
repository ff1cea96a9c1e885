"""What aligned landmarks say about a face: how well it was aligned, and where it looks."""

import cv2
import numpy as np

from data_pipelines.faces import alignment

# A head in mm, (x, y, z) from between the eyes: x to the right of the image, y down, z away from
# the camera. x and y are the mean of 12 GRID speakers, made symmetrical and scaled to 90 mm between
# the outer corners of the eyes; z is the mean depth that MediaPipe gives to 36 of their frames. So
# 0 degrees is where these speakers looked on average: into the camera.
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
_DISTANCE = 1000.0  # mm, of the camera; alignment hides it, and it matters little.


def residual(landmarks: np.ndarray, height: int, width: int) -> float:
    """landmarks [T, 68, 2] -> how far a stable point is off its place at most, % of the height."""
    off = landmarks[:, list(alignment.STABLE)] - alignment.canonical_points(height, width)
    return 100 * float(np.linalg.norm(off, axis=-1).max()) / height


def jump(landmarks: np.ndarray, height: int) -> float:
    """landmarks [T, 68, 2] -> the largest move from one frame to the next, % of the height.

    Of the median point, so that neither mouth nor eyes count.
    """
    moves = np.linalg.norm(np.diff(landmarks, axis=0), axis=-1)
    return 100 * float(np.median(moves, axis=1).max(initial=0)) / height


def angles(landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
    """landmarks [T, 68, 2] -> yaw, pitch and roll in degrees, [T, 3].

    Positive is to the right of the image, up, and clockwise. Roll is what the alignment leaves.
    """
    head = np.array([*_HEAD.values()], np.float64)
    focal = camera_focal(height, width)
    camera = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    found = []
    for points in np.ascontiguousarray(landmarks[:, [*_HEAD]], np.float64):
        guess = np.zeros(3), np.array([0, 0, _DISTANCE])  # From behind a face looks the same.
        _, rotation, _ = cv2.solvePnP(head, points, camera, np.zeros(4), *guess, True)
        turned = cv2.Rodrigues(rotation)[0]
        nose, right = -turned[:, 2], turned[:, 0]
        yaw = np.arctan2(nose[0], -nose[2])
        pitch = np.arctan2(-nose[1], np.hypot(nose[0], nose[2]))
        found.append([yaw, pitch, np.arctan2(right[1], right[0])])
    return np.degrees(found)


def camera_focal(height: int, width: int) -> float:
    """Pixels: such that the head at its distance is as large as the canonical face."""
    corners = alignment.canonical_points(height, width)[[1, 4]]
    eyes = np.linalg.norm(corners[1] - corners[0])
    return float(_DISTANCE * eyes / (_HEAD[45][0] - _HEAD[36][0]))
