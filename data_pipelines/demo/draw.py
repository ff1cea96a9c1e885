"""Paints a moving face: soft layers once per speaker, sharp curves in every frame."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from data_pipelines.demo import curves, layers
from data_pipelines.demo.face import EYE_CORNERS, MIDDLE, MOUTH_ROW, DrawnFace
from data_pipelines.demo.motion import Motion

Stroke = tuple[np.ndarray, Any, int]  # Points, RGBA (of every frame or each), thickness; 0: filled.

_PIVOT = (MIDDLE, 100.0)  # Of the head's rotation; at 128x96.


class FacePainter:
    """Draws one speaker at one size.

    Args:
      face: The speaker.
      height: Pixels of a frame.
      width: Pixels of a frame.
      seed: Seed of the strands of hair.
    """

    def __init__(self, face: DrawnFace, height: int, width: int, seed: int = 0):
        self.face, self.height, self.width = face, height, width
        self.scale = height / 128  # Pixels of the frame per pixel of the 128x96 crop.
        self.supersampling = 3 if height <= 64 else 2  # Painted pixels per pixel of the frame.
        rng = np.random.default_rng(seed)
        backdrop = layers.backdrop(face, self._canvas(3))
        self.backdrop = self._shrink(backdrop).astype(np.uint16)
        self.head = layers.head(face, self._canvas(4), rng)

    def _canvas(self, channels: int) -> layers.Canvas:
        shape = (self.height * self.supersampling, self.width * self.supersampling, channels)
        return layers.Canvas(np.zeros(shape, np.float32), self.pixels)

    def _shrink(self, image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, (self.width, self.height), interpolation=cv2.INTER_AREA)

    def pixels(self, points: ArrayLike) -> np.ndarray:
        """Converts points to pixels of the painted canvas.

        Args:
          points: [..., 2], pixels at 128x96.

        Returns:
          [..., 2], pixels of the canvas.
        """
        return (np.asarray(points) * self.scale + 0.5) * self.supersampling - 0.5

    def __call__(self, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
        """Draws a clip.

        Args:
          motion: Motion of T frames.

        Returns:
          Frames, RGB uint8 [T, H, W, 3], and landmarks, float32 [T, 68, 2] in their pixels.
        """
        turn = _turns(motion)
        marks = curves.landmarks(self.face, motion)
        marks = np.einsum("tij,tnj->tni", turn[:, :, :2], marks) + turn[:, None, :, 2]
        strokes = [
            (layers.to_fixed_point(self.pixels(points)), _per_frame(colour, len(turn)), thickness)
            for points, colour, thickness in self._strokes(motion)
        ]
        stretch = curves.jaw_stretch(motion, self.face)
        frames = np.empty((len(turn), self.height, self.width, 3), np.uint8)
        for t in range(len(turn)):
            head = self._drop_jaw(stretch[t])
            for points, colour, thickness in strokes:
                if thickness:
                    cv2.polylines(
                        head, [points[t]], False, colour[t], thickness, cv2.LINE_AA, layers.SHIFT
                    )
                else:
                    cv2.fillPoly(head, [points[t]], colour[t], cv2.LINE_AA, layers.SHIFT)
            frames[t] = self._compose(head, turn[t])
        return frames, (marks * self.scale).astype(np.float32)

    def _strokes(self, motion: Motion) -> list[Stroke]:
        """Returns what is drawn in every frame, back to front."""
        f = self.face
        line = max(1, round(0.55 * self.supersampling * self.scale * 2))
        mouth = curves.Lips(f, motion)
        lips, light = mouth.polygons(), np.clip((mouth.gap - 0.5) / 4.5, 0, 1)
        seam, dark = np.array(_shade(f.lips, 0.5)), np.array((62, 22, 24, 255))
        strokes = [
            (lips["shade"], _shade(f.skin, 0.86 - 0.2 * f.beard), 0),
            (lips["mouth"], _shade(f.lips, 0.86), 0),
            (lips["lower_lip"], _shade(f.lips, 1.03), 0),
            (lips["shine"], _shade(f.lips, 1.18), 0),
            (lips["line"], seam, 1),
            (lips["hole"], seam + np.clip(mouth.gap / 2.5, 0, 1) * (dark - seam), 0),
            (lips["tongue"], dark + light * ((158, 64, 70, 255) - dark), 0),
            (lips["teeth"], dark + light * ((232, 226, 216, 255) - dark), 0),
        ]
        for side in range(2):
            eye = curves.Eye(f, motion, side).polygons()
            strokes += [
                (eye["lid"], _shade(f.skin, 0.84), 0),
                (eye["white"], (240, 238, 236, 255), 0),
                (eye["iris"], _shade(f.eye, 1), 0),
                (eye["pupil"], (18, 14, 14, 255), 0),
                (eye["glint"], (250, 250, 250, 255), 0),
                (eye["rim"], _shade(f.skin, 0.7), 1),
                (eye["lash"], (38, 26, 24, 255), line),
                (curves.brow(f, motion, side)[0], _shade(f.brow, 1), 0),
            ]
        if f.glasses:
            strokes += self._glasses(len(motion.opening))
        return strokes

    def _glasses(self, frames: int) -> list[Stroke]:
        thickness = max(1, round(self.face.glasses * self.supersampling * self.scale))
        around = np.linspace(0, 2 * np.pi, 25)
        rings = []
        for left, right in EYE_CORNERS:
            middle = (np.asarray(left) + right) / 2 + (0, 1)
            cos, sin = np.cos(around), np.sin(around)
            ring = np.stack(
                [np.sign(cos) * np.abs(cos) ** 0.7, np.sign(sin) * np.abs(sin) ** 0.7], 1
            )
            rings.append(middle + ring * (11.5, 8.5))
        bridge = np.array([rings[0][0], (MIDDLE, 41), rings[1][12]])
        lines = [*rings, bridge]
        return [(np.repeat(c[None], frames, 0), (34, 30, 32, 255), thickness) for c in lines]

    def _drop_jaw(self, stretch: float) -> np.ndarray:
        """Returns a copy of the head, the part below the mouth stretched downwards."""
        head = self.head.copy()
        row = int(self.pixels(MOUTH_ROW))
        below = np.array([[1, 0, 0], [0, stretch, 0]], np.float32)
        size = head.shape[1], head.shape[0] - row
        head[row:] = cv2.warpAffine(head[row:], below, size, borderMode=cv2.BORDER_REPLICATE)
        return head

    def _compose(self, head: np.ndarray, turn: np.ndarray) -> np.ndarray:
        """Returns the head, rotated and shrunk, over the backdrop."""
        fine = turn.copy()  # On the canvas: its own unit, and its own origin.
        origin = self.pixels((0, 0))
        fine[:, 2] = self.pixels(turn[:, 2]) - turn[:, :2] @ origin
        size = head.shape[1], head.shape[0]
        head = self._shrink(cv2.warpAffine(head, fine, size, borderMode=cv2.BORDER_REPLICATE))
        cover = head[..., 3:].astype(np.uint16)
        return head[..., :3] + ((self.backdrop * (255 - cover) + 127) // 255).astype(np.uint8)


def _turns(motion: Motion) -> np.ndarray:
    """Returns the head's motion as affine matrices [T, 2, 3] at 128x96."""
    angle = np.deg2rad(motion.angle)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], 1)
    offset = np.asarray(_PIVOT) + motion.shift - matrix @ np.asarray(_PIVOT)
    return np.concatenate([matrix, offset[:, :, None]], 2)


def _per_frame(colour, frames: int) -> list[tuple[float, ...]]:
    """Returns an RGBA for each frame, of one for all or of [T, 4], as OpenCV takes them."""
    return [tuple(c) for c in np.broadcast_to(colour, (frames, 4)).tolist()]


def _shade(colour, factor: float) -> tuple[float, float, float, float]:
    r, g, b = (min(255.0, factor * c) for c in colour)
    return r, g, b, 255.0
