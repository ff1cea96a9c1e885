"""Layers painted once per speaker: wall and clothes, and the head without mouth, eyes, brows."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike

from data_pipelines.demo import curves, face
from data_pipelines.demo.face import DrawnFace

SHIFT = 4  # OpenCV takes points in sixteenths of a pixel.


Pixels = Callable[[ArrayLike], np.ndarray]  # From points at 128x96 to points on the canvas.


def to_fixed_point(points: np.ndarray) -> np.ndarray:
    """Converts points for OpenCV's drawing functions.

    Args:
      points: [..., 2], pixels.

    Returns:
      int32 [..., 2], in 1 / 2**SHIFT pixels.
    """
    return np.round(points * (1 << SHIFT)).astype(np.int32)


def _mask(canvas: np.ndarray, points: np.ndarray, blur: float = 0.0) -> np.ndarray:
    """Returns 1 inside a polygon, 0 outside, [H, W, 1], the edge blurred by `blur` canvas pixels."""
    mask = np.zeros(canvas.shape[:2], np.uint8)
    cv2.fillPoly(mask, [to_fixed_point(points)], (255.0,), cv2.LINE_AA, SHIFT)
    if blur:
        mask = cv2.GaussianBlur(mask, (0, 0), blur)
    return mask[..., None] / np.float32(255)


def _cover(canvas: np.ndarray, mask: np.ndarray, colour) -> None:
    """Paints a colour over a canvas; a fourth channel is its opacity, colours premultiplied."""
    solid = np.append(colour, 255)[: canvas.shape[2]].astype(np.float32)
    canvas *= 1 - mask
    canvas += mask * solid


def _tint(canvas: np.ndarray, mask: np.ndarray, factor) -> None:
    """Multiplies the colour by `factor` where the mask is 1."""
    canvas[..., :3] *= 1 + mask * (np.asarray(factor, np.float32) - 1)


def _ellipse(centre, radii, count: int = 32) -> np.ndarray:
    around = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.asarray(centre) + np.stack([np.cos(around), np.sin(around)], -1) * radii


def backdrop(f: DrawnFace, canvas: np.ndarray, pixels: Pixels) -> np.ndarray:
    """Paints wall, neck and clothes, which do not move.

    Args:
      f: The speaker.
      canvas: float32 [H, W, 3], overwritten.
      pixels: From points at 128x96 to points on the canvas.

    Returns:
      RGB, float32 [H, W, 3] in [0, 255].
    """
    unit = float(pixels((1, 0))[0] - pixels((0, 0))[0])
    rows = np.linspace(0, 1, len(canvas), dtype=np.float32)[:, None, None]
    top, bottom = (np.asarray(c, np.float32) for c in f.backdrop)
    canvas[:] = (1 - rows) * top + rows * bottom
    glow = _mask(canvas, pixels(_ellipse((48 + 40 * f.light, 40), (30, 40))), 12 * unit)
    _tint(canvas, glow, 1.12)
    neck = 0.6 * f.cheek_width
    middle = face.MIDDLE
    shoulders = [(-20, 140), (-14, 122), (14, 117), (middle - neck, 110)]
    body = np.array(shoulders + [(2 * middle - x, y) for x, y in shoulders[::-1]])
    _cover(canvas, _mask(canvas, pixels(body), 0.5), f.shirt)
    throat = {0: (4, 122), 1: (2, 132), 2: (5, 126)}[f.collar]
    skin = np.array(
        [
            (middle - neck, 80),
            (middle - neck, 110),
            (middle - neck - throat[0], 114),
            (middle, throat[1]),
            (middle + neck + throat[0], 114),
            (middle + neck, 110),
            (middle + neck, 80),
        ]
    )
    _cover(canvas, _mask(canvas, pixels(skin), 0.5), np.asarray(f.skin) * 0.88)
    shadow = _ellipse((middle, 104), (f.cheek_width * 0.8, 17))
    _tint(canvas, _mask(canvas, pixels(shadow), 3 * unit) * _mask(canvas, pixels(skin)), 0.72)
    return np.clip(canvas, 0, 255)


def head(f: DrawnFace, canvas: np.ndarray, pixels: Pixels, rng: np.random.Generator) -> np.ndarray:
    """Paints the resting head without mouth, eyes and brows.

    Args:
      f: The speaker.
      canvas: Zeros, float32 [H, W, 4], overwritten.
      pixels: From points at 128x96 to points on the canvas.
      rng: For the strands of hair.

    Returns:
      Premultiplied RGBA, uint8 [H, W, 4].
    """
    unit = float(pixels((1, 0))[0] - pixels((0, 0))[0])
    middle, cheek = face.MIDDLE, f.cheek_width
    if f.hair_style in (face.LONG, face.BOB, face.CURLY):
        bottom = {face.LONG: 140, face.BOB: 98, face.CURLY: 84}[f.hair_style]
        _hair_mass(f, canvas, pixels, bottom, unit, rng)
    for side in (-1, 1):
        ear = _ellipse((middle + side * (cheek + 1), 55), (4.5, 10))
        _cover(canvas, _mask(canvas, pixels(ear), 0.5), np.asarray(f.skin) * 0.9)
        inner = _ellipse((middle + side * (cheek + 2), 55), (2, 6))
        _tint(canvas, _mask(canvas, pixels(inner), 1 * unit), 0.8)
    shape = _mask(
        canvas, pixels(curves.outline(f, np.linspace(0, 2 * np.pi, 72, endpoint=False))), 0.5
    )
    _cover(canvas, shape, f.skin)
    _shading(f, canvas, pixels, shape, unit)
    _nose(f, canvas, pixels, unit)
    _beard(f, canvas, pixels, shape, unit)
    if f.hair_style == face.BALD:  # Shaved: a hint of hair.
        crown = _ellipse((middle, -24), (1.1 * cheek, f.hairline + 26))
        _cover(canvas, np.float32(0.22) * shape * _mask(canvas, pixels(crown), 3 * unit), f.hair)
    else:
        _fringe(f, canvas, pixels, shape, unit, rng)
    return np.clip(np.round(canvas), 0, 255).astype(np.uint8)


def _shading(
    f: DrawnFace, canvas: np.ndarray, pixels: Pixels, shape: np.ndarray, unit: float
) -> None:
    """Paints light from one side, darker edges, eye sockets, cheeks."""
    middle, cheek = face.MIDDLE, f.cheek_width
    inner = _ellipse((middle + 5 * f.light, 58), (cheek * 0.8, 48))
    _tint(canvas, shape * (1 - _mask(canvas, pixels(inner), 9 * unit)), 0.8)
    forehead = _ellipse((middle + 8 * f.light, 24), (20, 9))
    _tint(canvas, shape * _mask(canvas, pixels(forehead), 5 * unit), 1.06)
    for side, corners in enumerate(face.EYE_CORNERS):
        centre = np.mean(corners, 0)
        _tint(canvas, _mask(canvas, pixels(_ellipse(centre, (11, 7))), 3 * unit), 0.93)
        blush = _ellipse((centre[0] + (2 * side - 1) * 3, 70), (8, 7))
        _tint(canvas, shape * _mask(canvas, pixels(blush), 4 * unit), (1.02, 0.94, 0.93))
    chin = _ellipse((middle, f.chin_row - 5), (8, 4))
    _tint(canvas, shape * _mask(canvas, pixels(chin), 3 * unit), 1.05)
    np.minimum(canvas, 255, out=canvas)


def _nose(f: DrawnFace, canvas: np.ndarray, pixels: Pixels, unit: float) -> None:
    marks = curves.nose(f)
    bridge, base = marks[:4], marks[4:]
    side = -1 if f.light > 0 else 1
    edge = np.concatenate([bridge[:, :] + (side * 2.5, 0), [base[2] + (side * f.nose_width, -3)]])
    flank = np.concatenate([edge, edge[::-1] + (side * 3, 0)])
    _tint(canvas, _mask(canvas, pixels(flank), 1.6 * unit), 0.86)
    ridge = np.concatenate([bridge - (1, 0), bridge[::-1] + (1, 0)])
    _tint(canvas, _mask(canvas, pixels(ridge), 1 * unit), 1.07)
    under = np.concatenate([base, base[::-1] + (0, 3.2)])
    _tint(canvas, _mask(canvas, pixels(under), 1 * unit), 0.82)
    for wing in (-1, 1):
        nostril = _ellipse(base[2] + (wing * 0.5 * f.nose_width, -0.9), (2.0, 1.1))
        _tint(canvas, _mask(canvas, pixels(nostril), 0.35 * unit), 0.42)
        rim = _ellipse(base[2] + (wing * 0.95 * f.nose_width, -3.2), (0.9, 2.6))
        _tint(canvas, _mask(canvas, pixels(rim), 0.5 * unit), 0.8)
    tip = _ellipse(base[2] + (0.8 * f.light, -6), (2.2, 1.8))
    _tint(canvas, _mask(canvas, pixels(tip), 1 * unit), 1.12)
    np.minimum(canvas, 255, out=canvas)


def _beard(
    f: DrawnFace, canvas: np.ndarray, pixels: Pixels, shape: np.ndarray, unit: float
) -> None:
    hair = np.asarray(f.hair) * 0.9
    if f.beard:
        edge = curves.outline(f, np.linspace(0.1, np.pi - 0.1, 30))
        centre = np.array((face.MIDDLE, 86.0))
        inside = centre + (edge - centre) * (0.66, 0.5)
        mask = _mask(canvas, pixels(np.concatenate([edge + (0, 2), inside[::-1]])), 3 * unit)
        _cover(canvas, np.float32(0.8 * f.beard) * mask * shape, hair)
    if f.moustache:
        x = np.linspace(-1, 1, 15)
        top = face.MOUTH_ROW - 11.5 + 2.5 * x**2
        band = np.stack([face.MIDDLE + 0.5 + 15 * x, top], -1)
        low = np.stack([band[:, 0], top + 6.2 - 1.5 * x**2], -1)
        mask = _mask(canvas, pixels(np.concatenate([band, low[::-1]])), 0.8 * unit)
        _cover(canvas, np.float32(0.85 * f.moustache) * mask, hair)


def _strands(canvas, mask, curves, colour, pixels, rng: np.random.Generator) -> None:
    """Paints thin lighter and darker lines along the hair."""
    for points in curves:
        lines = np.zeros(canvas.shape[:2], np.uint8)
        cv2.polylines(
            lines, [to_fixed_point(pixels(points))], False, (255.0,), 1, cv2.LINE_AA, SHIFT
        )
        shade = np.asarray(colour) * rng.uniform(0.6, 1.3)
        _cover(canvas, mask * lines[..., None] / np.float32(510), np.minimum(255, shade))


def _hair_mass(f: DrawnFace, canvas, pixels: Pixels, bottom: float, unit: float, rng) -> None:
    """Paints the hair behind the face, down to `bottom`."""
    middle, reach = face.MIDDLE, f.cheek_width + (9 if f.hair_style == face.CURLY else 6)
    rows = np.linspace(-20, bottom, 24)
    waves = 1.6 if f.hair_style == face.CURLY else 0.5
    left = middle - reach * np.minimum(1, 0.75 + 0.25 * np.sqrt((rows + 20) / 60))
    left = left + waves * np.sin(rows / 2.5 + rng.uniform(0, 6)) - 0.03 * np.maximum(rows - 60, 0)
    left = left + 8 * np.clip((rows - bottom + 14) / 14, 0, 1) ** 2
    right = 2 * middle - left + waves * np.sin(rows / 2.1)
    shape = np.concatenate([np.stack([left, rows], -1), np.stack([right, rows], -1)[::-1]])
    mask = _mask(canvas, pixels(shape), 0.7 * unit)
    _cover(canvas, mask, np.asarray(f.hair) * 0.8)
    curves = []
    for _ in range(22):
        side = rng.choice((-1, 1))
        x = middle + side * rng.uniform(0.8, 1.15) * f.cheek_width
        phase = rng.uniform(0, 6)
        curves.append(np.stack([x + waves * np.sin(rows / 4 + phase), rows], -1))
    _strands(canvas, mask, curves, f.hair, pixels, rng)


def _fringe(f: DrawnFace, canvas, pixels: Pixels, shape, unit: float, rng) -> None:
    """Paints the hair over the forehead and the temples."""
    middle, cheek, line = face.MIDDLE, f.cheek_width, f.hairline
    x = np.linspace(-1, 1, 41)
    reach = cheek * (1.04 if f.hair_style in (face.SHORT, face.SIDE) else 1.12)
    columns = middle + reach * x
    temple = {face.SHORT: 34, face.SIDE: 36, face.LONG: 60, face.BOB: 62, face.CURLY: 40}
    drop = temple[f.hair_style] - line
    edge = line + drop * np.abs(x) ** (6 if f.hair_style in (face.LONG, face.BOB) else 5)
    if f.hair_style in (face.SIDE, face.LONG):  # Swept to both sides of the parting.
        away = np.abs(columns - f.parting)
        swept = np.sign(columns - f.parting) == np.sign(middle - f.parting)
        edge = np.maximum(edge, line - 5 + np.where(swept, 0.32, 0.5) * away)
    elif f.hair_style == face.BOB:
        edge += 7 * (1 - x**2)
    elif f.hair_style == face.CURLY:
        edge += 1.8 * np.sin(columns / 2.6 + rng.uniform(0, 6))
    else:
        edge += 0.5 * np.sin(columns / 1.7)
    top = np.array([(middle + reach, -30), (middle - reach, -30)])
    polygon = pixels(np.concatenate([np.stack([columns, edge], -1), top]))
    shadow = _mask(canvas, polygon + (0, 2.5 * unit), 1.5 * unit)
    _tint(canvas, shape * shadow, 0.82)
    mask = _mask(canvas, polygon, 0.5 * unit)
    _cover(canvas, mask, f.hair)
    curves = []
    for start in rng.uniform(-1, 1, 26):
        down = np.linspace(-20, 66, 20)
        root = f.parting if f.hair_style in (face.SIDE, face.LONG) else middle
        fall = 0.55 + 0.45 * np.clip((down + 10) / 60, 0, 1)
        curves.append(np.stack([root + (middle + 1.2 * cheek * start - root) * fall, down], -1))
    _strands(canvas, mask, curves, f.hair, pixels, rng)
    shine = _ellipse((middle + 14 * f.light, line - 6), (20, 4))
    _tint(canvas, mask * _mask(canvas, pixels(shine), 4 * unit), 1.14)
    np.minimum(canvas, 255, out=canvas)
