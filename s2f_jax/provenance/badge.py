"""The small visible badge that declares every frame to be AI-generated."""

import functools

import cv2
import numpy as np

_TEXTS = ("AI-GENERATED", "AI")  # The first that is at most _MAX_WIDTH of the frame wide.
_MAX_WIDTH = 0.4
_HEIGHT = 0.05  # Of the badge, as a share of the frame's shorter side,
_MIN_HEIGHT = 13  # and at least so many pixels: letters of 7 pixels, the smallest legible ones.
_PLATE_OPACITY = 0.6  # Of the dark plate behind the letters: legible on white, too.
_SUPERSAMPLING = 8  # Drawn so many times larger and averaged: OpenCV's fonts scale in coarse steps.
_FONT = cv2.FONT_HERSHEY_DUPLEX


def add_badge(frames: np.ndarray) -> np.ndarray:
    """Draws the badge into the lower right corner of copies of frames.

    Args:
      frames: uint8 [T, H, W, 3].

    Returns:
      uint8 [T, H, W, 3].
    """
    light, opacity = _badge(*frames.shape[1:3])
    height, width = opacity.shape[:2]
    marked = frames.copy()
    corner = marked[:, -height:, -width:]
    corner[:] = np.rint(light + (1 - opacity) * corner)
    return marked


@functools.lru_cache(maxsize=8)
def _badge(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the light that the badge adds and its opacity, float32 [h, w, 1] each."""
    shorter = min(height, width)
    badge_height = min(max(_MIN_HEIGHT, round(_HEIGHT * shorter)), max(1, shorter // 3))
    drawn = [_draw_text(text, _SUPERSAMPLING * badge_height) for text in _TEXTS]
    limit = _MAX_WIDTH * _SUPERSAMPLING * width
    letters = next((image for image in drawn if image.shape[1] <= limit), drawn[-1])
    badge_width = min(width, max(1, round(letters.shape[1] / _SUPERSAMPLING)))
    white = cv2.resize(letters, (badge_width, badge_height), interpolation=cv2.INTER_AREA)
    white = white[..., None]
    return 255 * white, white + _PLATE_OPACITY * (1 - white)


def _draw_text(text: str, height: int) -> np.ndarray:
    """Returns white text centred on a plate of that height, float32 [height, width] in [0, 1]."""
    scale = cv2.getFontScaleFromHeight(_FONT, round(0.55 * height))
    thickness = max(1, round(0.1 * height))
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    margin = (height - text_height) // 2
    plate = np.zeros((height, text_width + 2 * margin), np.uint8)
    origin = margin, height - margin
    cv2.putText(plate, text, origin, _FONT, scale, 255, thickness, cv2.LINE_AA)
    return plate / np.float32(255)
