"""`--paste_back`: blends the animated crop into the picture that it was cut from."""

import cv2
import numpy as np

from data_pipelines.faces import alignment

# In pixels of a 128 x 96 crop. An open mouth moves the chin down by up to 7, and the cheeks inwards.
_CHIN_MARGIN, _OPAQUE_MARGIN, _FEATHER = 6.0, 2.0, 7.0
_FOREHEAD = 0.55  # Height above the brows, in units of the distance from the brows to the chin.


class Paster:
    """Puts frames of one face into its picture, at the picture's own resolution and pose.

    Args:
      picture: uint8 [H, W, 3].
      landmarks: [68, 2] of its face, pixels.
      transform: The similarity [2, 3] from the picture to the crop.
      still: The crop, uint8 [h, w, 3].
    """

    def __init__(
        self, picture: np.ndarray, landmarks: np.ndarray, transform: np.ndarray, still: np.ndarray
    ):
        height, width = still.shape[:2]
        inverse = cv2.invertAffineTransform(transform)
        corners = np.array([[-0.5, -0.5], [width, -0.5], [-0.5, height], [width, height]])
        corners = alignment.transform_points(inverse, corners)
        limits = np.array(picture.shape[1::-1])
        low = np.clip(np.floor(corners.min(0)), 0, limits - 1).astype(int)
        high = np.clip(np.ceil(corners.max(0)) + 1, low + 1, limits).astype(int)
        # All work is done in the crop's bounding box, which is a small part of a large picture.
        self._box = slice(low[1], high[1]), slice(low[0], high[0])
        self._crop_to_box = inverse - [[0, 0, low[0]], [0, 0, low[1]]]
        self._box_size = int(high[1] - low[1]), int(high[0] - low[0])
        mask = face_mask(alignment.transform_points(transform, landmarks), height, width)
        self._opacity = cv2.warpAffine(mask, self._crop_to_box, self._box_size[::-1])
        self._rest = 1 - self._opacity
        self._rim = (mask > 0.05) & (mask < 0.95)
        self._still = still.astype(np.int16)
        self._background = picture[self._box].copy()
        self._canvas = picture.copy()

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Puts a frame into the picture.

        Args:
          frame: uint8 [h, w, 3].

        Returns:
          uint8 [H, W, 3]; every call returns the same array.
        """
        # A color cast of the whole frame would show at the rim: it is removed.
        shift = np.median((self._still - frame)[self._rim], axis=0)
        frame = np.clip(frame + np.rint(shift), 0, 255).astype(np.uint8)
        face = alignment.align(frame, self._crop_to_box, *self._box_size)
        self._canvas[self._box] = cv2.blendLinear(face, self._background, self._opacity, self._rest)
        return self._canvas


def face_mask(landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Computes the opacity of the animated face in the crop.

    It is 1 inside the face's outline and where the chin may move, and 0 at the crop's border.

    Args:
      landmarks: [68, 2] of the still, pixels of the crop.
      height: Height of the crop.
      width: Width of the crop.

    Returns:
      float32 [height, width] in [0, 1].
    """
    unit = height / 128
    jaw, brows = landmarks[:17].copy(), landmarks[17:27]
    down = landmarks[8] - landmarks[27]
    down /= np.linalg.norm(down)
    # The lower a point of the jaw, the more the mouth moves it.
    lowness = np.clip((jaw - landmarks[33]) @ down / ((landmarks[8] - landmarks[33]) @ down), 0, 1)
    jaw += _CHIN_MARGIN * unit * lowness[:, None] * down
    face_height = (landmarks[8] - brows.mean(0)) @ down
    outline = np.concatenate([jaw, brows - _FOREHEAD * face_height * down]).astype(np.float32)
    inside = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(outline).round().astype(np.int32), 1)
    outside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    y, x = np.mgrid[:height, :width]
    border = np.minimum.reduce([x, width - 1 - x, y, height - 1 - y]).astype(np.float32)
    feather = _FEATHER * unit
    from_outline = np.clip((_OPAQUE_MARGIN * unit + feather - outside) / feather, 0, 1)
    from_border = np.clip(border / feather, 0, 1)
    opacity = np.minimum(from_outline, from_border)
    return (opacity * opacity * (3 - 2 * opacity)).astype(np.float32)  # Smoothstep.
