"""The curves of a moving drawn face, from which it is painted, and its landmarks.

Lengths are pixels of the paper's 128x96 crop. Every array is [T, N, 2], points (x, y), left to right
in the picture, where nothing else is said.
"""

import dataclasses

import numpy as np

from data_pipelines.demo.face import EYE_CORNERS, MIDDLE, MOUTH_ROW, NOSE_BASE, OPENING, DrawnFace
from data_pipelines.demo.motion import Motion

OUTSIDE = -50.0  # A coordinate outside the picture.

_U = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 19))  # Denser towards the corners.
_CIRCLE = np.linspace(0, 2 * np.pi, 20, endpoint=False)


def _lens(u: np.ndarray, exponent: float) -> np.ndarray:
    return np.maximum(0, 1 - u * u) ** exponent


def _points(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack(np.broadcast_arrays(x, y), -1)


@dataclasses.dataclass
class Lips:
    """The four curves of the mouth, as functions of u in [-1, 1], from its left to its right corner.

    Attributes:
      face: The speaker.
      motion: Motion of T frames.
    """

    face: DrawnFace
    motion: Motion

    def __post_init__(self):
        f, m = self.face, self.motion
        column = [np.asarray(v)[:, None] for v in (m.opening, m.spread, m.press, m.bite)]
        opening, spread, press, bite = column
        wide, rounded = np.maximum(spread, 0), np.maximum(-spread, 0)
        self.gap = OPENING * opening + 2.4 * bite
        self.half = f.mouth_width * (1 + 0.12 * wide - 0.42 * rounded - 0.05 * opening)
        thin = (1 - 0.5 * press) * (1 - 0.12 * wide)
        self.upper_thickness = f.upper_lip * thin * (1 + 0.25 * rounded)
        self.lower_thickness = f.lower_lip * thin * (1 + 0.2 * rounded) * (1 - 0.5 * bite)
        self.row = MOUTH_ROW + 0.08 * self.gap + 0.4 * press
        self.column = MIDDLE + 0.5
        self.inner_share = 0.88  # Of the half width, where the lips part.

    def _x(self, u: np.ndarray) -> np.ndarray:
        return self.column + self.half * u

    def _line(self, u: np.ndarray) -> np.ndarray:
        # Of the closed mouth, from which the lips part.
        corners = 1 - 0.22 * self.gap / OPENING
        return self.row + 0.25 * self.gap - self.face.smile * u**2 * corners

    def _parted(self, u: np.ndarray, share: float) -> np.ndarray:
        return share * self.gap * _lens(np.clip(u / self.inner_share, -1, 1), 0.62)

    def _inner_upper(self, u: np.ndarray) -> np.ndarray:
        # Rows of the upper lip's inner edge.
        return self._line(u) - self._parted(u, 0.45)

    def _inner_lower(self, u: np.ndarray) -> np.ndarray:
        # Rows of the lower lip's inner edge.
        return self._line(u) + self._parted(u, 0.55)

    def _outer_upper(self, u: np.ndarray) -> np.ndarray:
        # Rows of the upper lip's outer edge.
        peaks, dip = np.exp(-(((np.abs(u) - 0.27) / 0.2) ** 2)), np.exp(-((u / 0.1) ** 2))
        bow = 0.86 + 0.2 * peaks - 0.1 * dip
        spread = 0.45 * self.gap * _lens(u, 0.8)
        return self._line(u) - spread - self.upper_thickness * _lens(u, 0.75) * bow

    def _outer_lower(self, u: np.ndarray) -> np.ndarray:
        # Rows of the lower lip's outer edge.
        spread = 0.55 * self.gap * _lens(u, 0.7)
        return self._line(u) + spread + self.lower_thickness * _lens(u, 0.6)

    def polygons(self) -> dict[str, np.ndarray]:
        """Computes the polygons to fill and the lines to stroke.

        Returns:
          Points [T, N, 2] by name; "line", between the lips, is an open curve.
        """
        u, v = _U, _U * self.inner_share
        x_in, top, bottom = self._x(v), self._inner_upper(v), self._inner_lower(v)
        teeth_height = np.clip(0.38 * self.gap, 0, 3.4) + 1.6 * self.motion.bite[:, None]
        teeth = np.minimum(top + teeth_height * _lens(_U, 0.3), bottom)
        tongue_height = self.gap * (0.18 + 0.32 * self.motion.tongue[:, None]) * _lens(_U, 0.8)
        tongue = np.maximum(bottom - tongue_height, top)
        lower = _points(self._x(u), self._outer_lower(u))
        edge = _points(x_in, bottom)
        shade_x, shade = self._x(u * 0.62), self._outer_lower(u * 0.62)

        def closed(x, a, b):
            return np.concatenate([_points(x, a), _points(x, b)[:, ::-1]], 1)

        shut = self.gap[:, :, None] < 0.5  # OpenCV draws the edge of even an empty polygon.
        return {
            "mouth": np.concatenate([_points(self._x(u), self._outer_upper(u)), lower[:, ::-1]], 1),
            "lower_lip": np.concatenate([edge, lower[:, ::-1]], 1),
            "hole": np.where(shut, OUTSIDE, closed(x_in, top, bottom)),
            "teeth": np.where(shut, OUTSIDE, closed(x_in, top, teeth)),
            "tongue": np.where(shut, OUTSIDE, closed(x_in, tongue, bottom)),
            "line": _points(x_in, 0.5 * (top + bottom)),
            "shade": closed(shade_x, shade, shade + 2.6 * _lens(u, 0.5)),
            "shine": closed(
                self._x(u * 0.35),
                self._inner_lower(u * 0.35) + 0.35 * self.lower_thickness,
                self._inner_lower(u * 0.35) + (0.35 + 0.3 * _lens(u, 0.5)) * self.lower_thickness,
            ),
        }

    def landmarks(self) -> np.ndarray:
        """Computes the landmarks of the mouth.

        Returns:
          iBUG points 48 to 67, [T, 20, 2].
        """
        upper, lower = np.array([-1, -0.63, -0.27, 0, 0.27, 0.63, 1]), np.array([0.63, 0.27, 0])
        lower = np.concatenate([lower, -lower[1::-1]])
        inner, centre = np.array([-1, -0.42, 0, 0.42, 1]) * self.inner_share, np.array([0.42, 0])
        centre = np.append(centre, -0.42) * self.inner_share
        parts = [
            _points(self._x(upper), self._outer_upper(upper)),
            _points(self._x(lower), self._outer_lower(lower)),
            _points(self._x(inner), self._inner_upper(inner)),
            _points(self._x(centre), self._inner_lower(centre)),
        ]
        return np.concatenate(parts, 1)


@dataclasses.dataclass
class Eye:
    """One eye, as functions of u in [-1, 1], from its left to its right corner in the picture.

    Attributes:
      face: The speaker.
      motion: Motion of T frames.
      side: 0 left in the picture, 1 right.
    """

    face: DrawnFace
    motion: Motion
    side: int

    def __post_init__(self):
        corners = np.asarray(EYE_CORNERS[self.side]) + self.face.eye_shift[self.side]
        self.left, self.right = corners
        self.closed = self.motion.blink[:, None]

    def _x(self, u: np.ndarray) -> np.ndarray:
        return self.left[0] + (self.right[0] - self.left[0]) * (u + 1) / 2

    def _axis(self, u: np.ndarray) -> np.ndarray:
        row = self.left[1] + (self.right[1] - self.left[1]) * (u + 1) / 2
        return row + np.zeros_like(self.closed)  # For every frame.

    def _lower(self, u: np.ndarray) -> np.ndarray:
        # Rows of the lower lid.
        return self._axis(u) + 0.42 * self.face.eye_height * _lens(u, 0.9)

    def _upper(self, u: np.ndarray) -> np.ndarray:
        # Rows of the upper lid, which blinks.
        wide = self.face.eye_height * (1 + 0.12 * self.motion.raise_brow[:, None])
        opened = self._axis(u) - wide * _lens(u, 0.75)
        return opened + self.closed * (self._lower(u) - opened)

    def _crease(self, u: np.ndarray) -> np.ndarray:
        # Rows of the fold above the upper lid.
        return self._axis(u) - (self.face.eye_height + 2.2) * _lens(u, 0.6)

    def polygons(self) -> dict[str, np.ndarray]:
        """Computes the polygons to fill and the lines to stroke.

        Returns:
          Points [T, N, 2] by name; "lash" and "rim" are open curves.
        """
        x, upper, lower = self._x(_U), self._upper(_U), self._lower(_U)
        upper_curve, lower_curve = _points(x, upper), _points(x, lower)
        centre = (self.left + self.right) / 2 + self.motion.gaze - (0, 0.25 * self.face.eye_height)
        round_eye = _points(np.cos(_CIRCLE), np.sin(_CIRCLE))

        def disc(radius, offset=(0.0, 0.0)):
            points = centre[:, None] + np.asarray(offset) + radius * round_eye
            u = 2 * (points[..., 0] - self.left[0]) / (self.right[0] - self.left[0]) - 1
            rows = np.minimum(np.maximum(points[..., 1], self._upper(u)), self._lower(u))
            return _points(points[..., 0], rows)

        radius = 0.5 * self.face.eye_height + 1.2
        return {
            "lid": np.concatenate([_points(x, self._crease(_U)), upper_curve[:, ::-1]], 1),
            "white": np.concatenate([upper_curve, lower_curve[:, ::-1]], 1),
            "iris": disc(radius),
            "pupil": disc(0.55 * radius),
            "glint": disc(0.5, (-0.9, -1.0)),
            "lash": upper_curve,
            "rim": lower_curve,
        }

    def landmarks(self) -> np.ndarray:
        """Computes the landmarks of the eye.

        Returns:
          iBUG points 36 to 41 or 42 to 47, [T, 6, 2].
        """
        upper, lower = np.array([-1, -1 / 3, 1 / 3, 1]), np.array([1 / 3, -1 / 3])
        above = _points(self._x(upper), self._upper(upper))
        return np.concatenate([above, _points(self._x(lower), self._lower(lower))], 1)


def brow(face: DrawnFace, motion: Motion, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Computes an eyebrow.

    Args:
      face: The speaker.
      motion: Motion of T frames.
      side: 0 left in the picture, 1 right.

    Returns:
      The brow's outline [T, N, 2] and its centre line, iBUG points 17 to 21 or 22 to 26, [T, 5, 2].
    """
    left, right = np.asarray(EYE_CORNERS[side]) + face.eye_shift[side]
    reach = (3.5, 1.5) if side == 0 else (1.5, 3.5)
    raised, frown = motion.raise_brow[:, None], motion.frown[:, None]

    def line(s):  # s from 0 at the left end to 1.
        inner = s if side == 0 else 1 - s
        x = (left[0] - reach[0]) * (1 - s) + (right[0] + reach[1]) * s
        x = x + (1.6 if side == 0 else -1.6) * frown * inner
        bend = face.brow_arch * np.sin(np.pi * np.clip(1.1 - 0.9 * inner, 0, 1))
        y = left[1] * (1 - s) + right[1] * s - face.brow_height + 0.5 * face.brow_arch - bend
        return x, y + 1.2 * (1 - inner) - 3.4 * raised * (0.7 + 0.3 * inner) + 2.4 * frown * inner

    s = np.linspace(0, 1, 9)
    x, y = line(s)
    inner = s if side == 0 else 1 - s
    half = face.brow_thickness * (0.22 + 0.33 * np.sqrt(inner))
    outline = np.concatenate([_points(x, y - half), _points(x, y + half)[:, ::-1]], 1)
    return outline, _points(*line(np.linspace(0, 1, 5)))


def nose(face: DrawnFace) -> np.ndarray:
    """Computes the landmarks of the nose.

    Args:
      face: The speaker.

    Returns:
      iBUG points 27 to 35, bridge and base, [9, 2].
    """
    base = np.asarray(NOSE_BASE) + face.nose_shift
    steps = np.linspace(0, 1, 4)[:, None]
    bridge = (1 - steps) * (MIDDLE, 45.5) + steps * (base - (0.2, 6.5))
    u = np.linspace(-1, 1, 5)
    row = base[1] - 1.9 * np.abs(u) ** 1.5
    return np.concatenate([bridge, np.stack([base[0] + face.nose_width * u, row], -1)])


def outline(face: DrawnFace, angles: np.ndarray) -> np.ndarray:
    """Computes the edge of the resting face.

    Args:
      face: The speaker.
      angles: [N]; 0 is the right temple, pi / 2 the chin, pi the left temple, 3 pi / 2 the top.

    Returns:
      Points [N, 2].
    """
    cos, sin = np.cos(angles), np.sin(angles)
    power = 2 / np.where(sin > 0, face.squareness, 2.5)
    height = np.where(sin > 0, face.chin_row - 46, 68)
    x = MIDDLE + face.cheek_width * np.sign(cos) * np.abs(cos) ** power
    return np.stack([x, 46 + height * np.sign(sin) * np.abs(sin) ** power], -1)


def jaw_stretch(motion: Motion, face: DrawnFace) -> np.ndarray:
    """Computes how much the part below the mouth is stretched.

    Args:
      motion: Motion of T frames.
      face: The speaker.

    Returns:
      Factors, 1 or more, [T].
    """
    return 1 + 0.42 * OPENING * motion.opening / (face.chin_row - MOUTH_ROW)


def landmarks(face: DrawnFace, motion: Motion) -> np.ndarray:
    """Computes all landmarks, before the head moves.

    Args:
      face: The speaker.
      motion: Motion of T frames.

    Returns:
      iBUG points, [T, 68, 2].
    """
    frames = len(motion.opening)
    jaw = outline(face, np.linspace(np.pi - 0.02, 0.02, 17))
    jaw = np.repeat(jaw[None], frames, 0)
    below = np.maximum(jaw[..., 1] - MOUTH_ROW, 0)
    jaw[..., 1] += below * (jaw_stretch(motion, face)[:, None] - 1)
    parts = [
        jaw,
        brow(face, motion, 0)[1],
        brow(face, motion, 1)[1],
        np.repeat(nose(face)[None], frames, 0),
        Eye(face, motion, 0).landmarks(),
        Eye(face, motion, 1).landmarks(),
        Lips(face, motion).landmarks(),
    ]
    return np.concatenate(parts, 1)
