"""A small visible badge that says of every frame that it is synthetic."""

import functools

import cv2
import numpy as np

_WORDS = ("AI-GENERATED", "AI")  # The first that is no wider than _MAX_WIDTH of the picture.
_MAX_WIDTH = 0.4
_SHARE = 0.05  # Its height, of the picture's shorter side,
_LEAST = 13  # and at least so many pixels: letters of 7, the least that reads.
_PLATE = 0.6  # Opacity of what lies behind the letters: they read on white, too.
_FINER = 8  # Drawn so many times larger and averaged; OpenCV's letters have no smaller steps.
_FONT = cv2.FONT_HERSHEY_DUPLEX


def add(frames: np.ndarray) -> np.ndarray:
    """Frames uint8 [T, H, W, 3] -> the same with a badge in the lower right corner, copies."""
    light, opacity = _badge(*frames.shape[1:3])
    height, width = opacity.shape[:2]
    marked = frames.copy()
    corner = marked[:, -height:, -width:]
    corner[:] = np.rint(light + (1 - opacity) * corner)
    return marked


@functools.lru_cache(maxsize=8)
def _badge(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """For frames of a size -> what it adds and what it hides, float32 [h, w, 1] both."""
    shorter = min(height, width)
    tall = min(max(_LEAST, round(_SHARE * shorter)), max(1, shorter // 3))
    drawn = [_letters(words, _FINER * tall) for words in _WORDS]
    letters = next((d for d in drawn if d.shape[1] <= _MAX_WIDTH * _FINER * width), drawn[-1])
    size = (min(width, max(1, round(letters.shape[1] / _FINER))), tall)
    white = cv2.resize(letters, size, interpolation=cv2.INTER_AREA)[..., None]
    return 255 * white, white + _PLATE * (1 - white)


def _letters(words: str, tall: int) -> np.ndarray:
    """White words in the middle of a plate of that height, float32 [tall, wide], 0 to 1."""
    scale = cv2.getFontScaleFromHeight(_FONT, round(0.55 * tall))
    thick = max(1, round(0.1 * tall))
    (wide, high), _ = cv2.getTextSize(words, _FONT, scale, thick)
    margin = (tall - high) // 2
    plate = np.zeros((tall, wide + 2 * margin), np.uint8)
    cv2.putText(plate, words, (margin, tall - margin), _FONT, scale, 255, thick, cv2.LINE_AA)
    return plate / np.float32(255)
