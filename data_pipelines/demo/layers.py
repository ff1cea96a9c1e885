"""Layers painted once per speaker: wall and clothes, and the head without mouth, eyes, brows."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike

from data_pipelines.demo import curves, face
from data_pipelines.demo.face import MIDDLE, DrawnFace

SHIFT = 4  # OpenCV takes points in sixteenths of a pixel.


def to_fixed_point(points: np.ndarray) -> np.ndarray:
    """Converts points for OpenCV's drawing functions.

    Args:
      points: [..., 2], pixels.

    Returns:
      int32 [..., 2], in 1 / 2**SHIFT pixels.
    """
    return np.round(points * (1 << SHIFT)).astype(np.int32)


class Canvas:
    """An image that is painted with soft shapes; points are in pixels at 128x96.

    Args:
      image: float32 [H, W, 3], RGB in [0, 255], or [H, W, 4] with opacity, colours premultiplied.
      pixels: Maps points at 128x96 to points in the image.
    """

    def __init__(self, image: np.ndarray, pixels: Callable[[ArrayLike], np.ndarray]):
        self.image, self.pixels = image, pixels
        # Image pixels per pixel at 128x96.
        self.unit = float(pixels((1, 0))[0] - pixels((0, 0))[0])

    def polygon(self, points: ArrayLike, blur: float = 0.0) -> np.ndarray:
        """Makes the mask of a polygon.

        Args:
          points: [N, 2].
          blur: Standard deviation of the edge, pixels of the image.

        Returns:
          float32 [H, W, 1], from 0 outside to 1 inside.
        """
        mask = np.zeros(self.image.shape[:2], np.uint8)
        outline = to_fixed_point(self.pixels(points))
        cv2.fillPoly(mask, [outline], (255.0,), cv2.LINE_AA, SHIFT)
        if blur:
            mask = cv2.GaussianBlur(mask, (0, 0), blur)
        return mask[..., None] / np.float32(255)

    def ellipse(self, centre: ArrayLike, radii: ArrayLike, blur: float = 0.0) -> np.ndarray:
        """Makes the mask of an ellipse.

        Args:
          centre: (x, y).
          radii: (x, y).
          blur: Standard deviation of the edge, pixels of the image.

        Returns:
          float32 [H, W, 1], from 0 outside to 1 inside.
        """
        around = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        circle = np.stack([np.cos(around), np.sin(around)], -1)
        return self.polygon(np.asarray(centre) + circle * radii, blur)

    def cover(self, mask: np.ndarray, colour: ArrayLike) -> None:
        """Paints a colour.

        Args:
          mask: [H, W, 1], how much of it.
          colour: RGB in [0, 255].
        """
        solid = np.append(colour, 255)[: self.image.shape[2]].astype(np.float32)
        self.image *= 1 - mask
        self.image += mask * solid

    def tint(self, mask: np.ndarray, factor: ArrayLike) -> None:
        """Multiplies the colour by a factor.

        Args:
          mask: [H, W, 1], how much of it.
          factor: Factor of all channels, or of each of RGB.
        """
        self.image[..., :3] *= 1 + mask * (np.asarray(factor, np.float32) - 1)


def backdrop(f: DrawnFace, canvas: Canvas) -> np.ndarray:
    """Paints wall, neck and clothes, which do not move.

    Args:
      f: The speaker.
      canvas: RGB, overwritten.

    Returns:
      RGB, float32 [H, W, 3] in [0, 255].
    """
    unit = canvas.unit
    rows = np.linspace(0, 1, len(canvas.image), dtype=np.float32)[:, None, None]
    top, bottom = (np.asarray(c, np.float32) for c in f.backdrop)
    canvas.image[:] = (1 - rows) * top + rows * bottom
    canvas.tint(canvas.ellipse((48 + 40 * f.light, 40), (30, 40), 12 * unit), 1.12)
    neck = 0.6 * f.cheek_width
    shoulders = [(-20, 140), (-14, 122), (14, 117), (MIDDLE - neck, 110)]
    body = np.array(shoulders + [(2 * MIDDLE - x, y) for x, y in shoulders[::-1]])
    canvas.cover(canvas.polygon(body, 0.5), f.shirt)
    throat = {0: (4, 122), 1: (2, 132), 2: (5, 126)}[f.collar]
    left = [(MIDDLE - neck, 80), (MIDDLE - neck, 110), (MIDDLE - neck - throat[0], 114)]
    right = [(MIDDLE + neck + throat[0], 114), (MIDDLE + neck, 110), (MIDDLE + neck, 80)]
    skin = np.array([*left, (MIDDLE, throat[1]), *right])
    canvas.cover(canvas.polygon(skin, 0.5), np.asarray(f.skin) * 0.88)
    shadow = canvas.ellipse((MIDDLE, 104), (f.cheek_width * 0.8, 17), 3 * unit)
    canvas.tint(shadow * canvas.polygon(skin), 0.72)
    return np.clip(canvas.image, 0, 255)


def head(f: DrawnFace, canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Paints the resting head without mouth, eyes and brows.

    Args:
      f: The speaker.
      canvas: Transparent RGBA, overwritten.
      rng: Random generator for the strands of hair.

    Returns:
      Premultiplied RGBA, uint8 [H, W, 4].
    """
    cheek = f.cheek_width
    if f.hair_style in (face.LONG, face.BOB, face.CURLY):
        bottom = {face.LONG: 140, face.BOB: 98, face.CURLY: 84}[f.hair_style]
        _hair_mass(f, canvas, bottom, rng)
    for side in (-1, 1):
        ear = canvas.ellipse((MIDDLE + side * (cheek + 1), 55), (4.5, 10), 0.5)
        canvas.cover(ear, np.asarray(f.skin) * 0.9)
        canvas.tint(canvas.ellipse((MIDDLE + side * (cheek + 2), 55), (2, 6), canvas.unit), 0.8)
    shape = canvas.polygon(curves.outline(f, np.linspace(0, 2 * np.pi, 72, endpoint=False)), 0.5)
    canvas.cover(shape, f.skin)
    _shading(f, canvas, shape)
    _nose(f, canvas)
    _beard(f, canvas, shape)
    if f.hair_style == face.BALD:  # Shaved: a hint of hair.
        crown = canvas.ellipse((MIDDLE, -24), (1.1 * cheek, f.hairline + 26), 3 * canvas.unit)
        canvas.cover(np.float32(0.22) * shape * crown, f.hair)
    else:
        _fringe(f, canvas, shape, rng)
    return np.clip(np.round(canvas.image), 0, 255).astype(np.uint8)


def _shading(f: DrawnFace, canvas: Canvas, shape: np.ndarray) -> None:
    """Paints light from one side, darker edges, eye sockets, cheeks."""
    unit, ellipse = canvas.unit, canvas.ellipse
    inner = ellipse((MIDDLE + 5 * f.light, 58), (f.cheek_width * 0.8, 48), 9 * unit)
    canvas.tint(shape * (1 - inner), 0.8)
    canvas.tint(shape * ellipse((MIDDLE + 8 * f.light, 24), (20, 9), 5 * unit), 1.06)
    for side, corners in enumerate(face.EYE_CORNERS):
        centre = np.mean(corners, 0)
        canvas.tint(ellipse(centre, (11, 7), 3 * unit), 0.93)
        blush = ellipse((centre[0] + (2 * side - 1) * 3, 70), (8, 7), 4 * unit)
        canvas.tint(shape * blush, (1.02, 0.94, 0.93))
    canvas.tint(shape * ellipse((MIDDLE, f.chin_row - 5), (8, 4), 3 * unit), 1.05)
    np.minimum(canvas.image, 255, out=canvas.image)


def _nose(f: DrawnFace, canvas: Canvas) -> None:
    unit, marks = canvas.unit, curves.nose(f)
    bridge, base = marks[:4], marks[4:]
    side = -1 if f.light > 0 else 1
    edge = np.concatenate([bridge + (side * 2.5, 0), [base[2] + (side * f.nose_width, -3)]])
    flank = np.concatenate([edge, edge[::-1] + (side * 3, 0)])
    canvas.tint(canvas.polygon(flank, 1.6 * unit), 0.86)
    ridge = np.concatenate([bridge - (1, 0), bridge[::-1] + (1, 0)])
    canvas.tint(canvas.polygon(ridge, unit), 1.07)
    under = np.concatenate([base, base[::-1] + (0, 3.2)])
    canvas.tint(canvas.polygon(under, unit), 0.82)
    for wing in (-1, 1):
        nostril = base[2] + (wing * 0.5 * f.nose_width, -0.9)
        canvas.tint(canvas.ellipse(nostril, (2.0, 1.1), 0.35 * unit), 0.42)
        rim = base[2] + (wing * 0.95 * f.nose_width, -3.2)
        canvas.tint(canvas.ellipse(rim, (0.9, 2.6), 0.5 * unit), 0.8)
    canvas.tint(canvas.ellipse(base[2] + (0.8 * f.light, -6), (2.2, 1.8), unit), 1.12)
    np.minimum(canvas.image, 255, out=canvas.image)


def _beard(f: DrawnFace, canvas: Canvas, shape: np.ndarray) -> None:
    hair = np.asarray(f.hair) * 0.9
    if f.beard:
        edge = curves.outline(f, np.linspace(0.1, np.pi - 0.1, 30))
        centre = np.array((MIDDLE, 86.0))
        inside = centre + (edge - centre) * (0.66, 0.5)
        band = np.concatenate([edge + (0, 2), inside[::-1]])
        mask = canvas.polygon(band, 3 * canvas.unit)
        canvas.cover(np.float32(0.8 * f.beard) * mask * shape, hair)
    if f.moustache:
        x = np.linspace(-1, 1, 15)
        top = face.MOUTH_ROW - 11.5 + 2.5 * x**2
        band = np.stack([MIDDLE + 0.5 + 15 * x, top], -1)
        low = np.stack([band[:, 0], top + 6.2 - 1.5 * x**2], -1)
        mask = canvas.polygon(np.concatenate([band, low[::-1]]), 0.8 * canvas.unit)
        canvas.cover(np.float32(0.85 * f.moustache) * mask, hair)


def _strands(
    f: DrawnFace, canvas: Canvas, mask: np.ndarray, hairs: list, rng: np.random.Generator
) -> None:
    """Paints thin lighter and darker lines along the hair."""
    for points in hairs:
        line = np.zeros(canvas.image.shape[:2], np.uint8)
        points = to_fixed_point(canvas.pixels(points))
        cv2.polylines(line, [points], False, (255.0,), 1, cv2.LINE_AA, SHIFT)
        shade = np.asarray(f.hair) * rng.uniform(0.6, 1.3)
        canvas.cover(mask * line[..., None] / np.float32(510), np.minimum(255, shade))


def _hair_mass(f: DrawnFace, canvas: Canvas, bottom: float, rng: np.random.Generator) -> None:
    """Paints the hair behind the face, down to `bottom`."""
    reach = f.cheek_width + (9 if f.hair_style == face.CURLY else 6)
    rows = np.linspace(-20, bottom, 24)
    waves = 1.6 if f.hair_style == face.CURLY else 0.5
    left = MIDDLE - reach * np.minimum(1, 0.75 + 0.25 * np.sqrt((rows + 20) / 60))
    left = left + waves * np.sin(rows / 2.5 + rng.uniform(0, 6)) - 0.03 * np.maximum(rows - 60, 0)
    left = left + 8 * np.clip((rows - bottom + 14) / 14, 0, 1) ** 2
    right = 2 * MIDDLE - left + waves * np.sin(rows / 2.1)
    shape = np.concatenate([np.stack([left, rows], -1), np.stack([right, rows], -1)[::-1]])
    mask = canvas.polygon(shape, 0.7 * canvas.unit)
    canvas.cover(mask, np.asarray(f.hair) * 0.8)
    hairs = []
    for _ in range(22):
        side = rng.choice((-1, 1))
        x = MIDDLE + side * rng.uniform(0.8, 1.15) * f.cheek_width
        phase = rng.uniform(0, 6)
        hairs.append(np.stack([x + waves * np.sin(rows / 4 + phase), rows], -1))
    _strands(f, canvas, mask, hairs, rng)


def _fringe(f: DrawnFace, canvas: Canvas, shape: np.ndarray, rng: np.random.Generator) -> None:
    """Paints the hair over the forehead and the temples."""
    cheek, line, unit = f.cheek_width, f.hairline, canvas.unit
    x = np.linspace(-1, 1, 41)
    reach = cheek * (1.04 if f.hair_style in (face.SHORT, face.SIDE) else 1.12)
    columns = MIDDLE + reach * x
    temple = {face.SHORT: 34, face.SIDE: 36, face.LONG: 60, face.BOB: 62, face.CURLY: 40}
    drop = temple[f.hair_style] - line
    edge = line + drop * np.abs(x) ** (6 if f.hair_style in (face.LONG, face.BOB) else 5)
    if f.hair_style in (face.SIDE, face.LONG):  # Swept to both sides of the parting.
        away = np.abs(columns - f.parting)
        swept = np.sign(columns - f.parting) == np.sign(MIDDLE - f.parting)
        edge = np.maximum(edge, line - 5 + np.where(swept, 0.32, 0.5) * away)
    elif f.hair_style == face.BOB:
        edge += 7 * (1 - x**2)
    elif f.hair_style == face.CURLY:
        edge += 1.8 * np.sin(columns / 2.6 + rng.uniform(0, 6))
    else:
        edge += 0.5 * np.sin(columns / 1.7)
    top = np.array([(MIDDLE + reach, -30), (MIDDLE - reach, -30)])
    polygon = np.concatenate([np.stack([columns, edge], -1), top])
    canvas.tint(shape * canvas.polygon(polygon + (0, 2.5), 1.5 * unit), 0.82)
    mask = canvas.polygon(polygon, 0.5 * unit)
    canvas.cover(mask, f.hair)
    hairs = []
    for start in rng.uniform(-1, 1, 26):
        down = np.linspace(-20, 66, 20)
        root = f.parting if f.hair_style in (face.SIDE, face.LONG) else MIDDLE
        fall = 0.55 + 0.45 * np.clip((down + 10) / 60, 0, 1)
        hairs.append(np.stack([root + (MIDDLE + 1.2 * cheek * start - root) * fall, down], -1))
    _strands(f, canvas, mask, hairs, rng)
    shine = canvas.ellipse((MIDDLE + 14 * f.light, line - 6), (20, 4), 4 * unit)
    canvas.tint(mask * shine, 1.14)
    np.minimum(canvas.image, 255, out=canvas.image)
