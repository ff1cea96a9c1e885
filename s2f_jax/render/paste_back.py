"""`--paste_back`: the animated crop blended into the picture that it was cut from."""

import cv2
import numpy as np

from data_pipelines.faces import alignment

# In pixels of a 128 x 96 crop. An open mouth takes the chin down by up to 7 and the cheeks in.
_CHIN_ROOM, _FULL, _FEATHER = 6.0, 2.0, 7.0
_FOREHEAD = 0.55  # Above the brows, of the way from the brows to the chin.


class Paster:
    """Puts frames of one face into its picture, at the picture's own resolution and pose."""

    def __init__(
        self, picture: np.ndarray, landmarks: np.ndarray, transform: np.ndarray, still: np.ndarray
    ):
        """picture uint8 [H, W, 3]; of its face the landmarks [68, 2] and the transform [2, 3] to
        the crop `still` uint8 [h, w, 3]."""
        height, width = still.shape[:2]
        back = cv2.invertAffineTransform(transform)
        corners = np.array([[-0.5, -0.5], [width, -0.5], [-0.5, height], [width, height]])
        there = alignment.transform_points(back, corners)
        limits = np.array(picture.shape[1::-1])
        low = np.clip(np.floor(there.min(0)), 0, limits - 1).astype(int)
        high = np.clip(np.ceil(there.max(0)) + 1, low + 1, limits).astype(int)
        self._box = slice(low[1], high[1]), slice(low[0], high[0])
        self._back = back - [[0, 0, low[0]], [0, 0, low[1]]]
        self._shape = int(high[1] - low[1]), int(high[0] - low[0])
        mask = face_mask(alignment.transform_points(transform, landmarks), height, width)
        self._share = cv2.warpAffine(mask, self._back, self._shape[::-1], flags=cv2.INTER_LINEAR)
        self._rest = 1 - self._share
        self._rim = (mask > 0.05) & (mask < 0.95)
        self._still = still.astype(np.int16)
        self._before = picture[self._box].copy()
        self._canvas = picture.copy()

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """uint8 [h, w, 3] -> the picture with this face, uint8 [H, W, 3]; the same array each
        time."""
        shift = np.median((self._still - frame)[self._rim], axis=0)
        frame = np.clip(frame + np.rint(shift), 0, 255).astype(np.uint8)
        face = alignment.align(frame, self._back, *self._shape)
        self._canvas[self._box] = cv2.blendLinear(face, self._before, self._share, self._rest)
        return self._canvas


def face_mask(landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
    """How much of a pixel the animated face is, float32 [height, width] in [0, 1]: all of it
    inside the face's outline and where its chin may go, nothing at the crop's border.

    landmarks: [68, 2] of the still, in pixels of the crop.
    """
    unit = height / 128
    jaw, brows = landmarks[:17].copy(), landmarks[17:27]
    down = landmarks[8] - landmarks[27]
    down /= np.linalg.norm(down)
    # The lower the point of the jaw, the more the mouth moves it.
    lowness = np.clip((jaw - landmarks[33]) @ down / ((landmarks[8] - landmarks[33]) @ down), 0, 1)
    jaw += _CHIN_ROOM * unit * lowness[:, None] * down
    tall = (landmarks[8] - brows.mean(0)) @ down
    outline = np.concatenate([jaw, brows - _FOREHEAD * tall * down]).astype(np.float32)
    inside = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(outline).round().astype(np.int32), 1)
    outside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    y, x = np.mgrid[:height, :width]
    border = np.minimum.reduce([x, width - 1 - x, y, height - 1 - y]).astype(np.float32)
    feather = _FEATHER * unit
    near = np.clip((_FULL * unit + feather - outside) / feather, 0, 1)
    away = np.clip(border / feather, 0, 1)
    share = np.minimum(near, away)
    return (share * share * (3 - 2 * share)).astype(np.float32)
