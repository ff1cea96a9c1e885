"""A drawn person: how faces differ, and the curves of a moving face.

Lengths are pixels of the paper's 128x96 crop.
"""

import colorsys
import dataclasses

import numpy as np

from data_pipelines.demo.motion import Motion

# The paper's canonical face: iBUG points 33, 36, 39, 42, 45.
NOSE_BASE = (49.40, 71.82)
EYE_CORNERS = (((24.11, 43.39), (37.93, 44.15)), ((58.86, 43.23), (72.49, 42.03)))
MIDDLE = 48.9  # Column of the face's axis.
MOUTH_ROW = 89.0  # Of the closed lips; the jaw moves what lies below.
OPENING = 13.5  # Between the lips, in an open vowel.

OUTSIDE = -50.0  # A coordinate outside the picture.

Colour = tuple[float, ...]  # RGB, 0 .. 255.


@dataclasses.dataclass(frozen=True)
class DrawnFace:
    """The features of one speaker; lengths in pixels at 128x96.

    Attributes:
      skin: Colour.
      cheek_width: Half the width, at the eyes.
      chin_row: Row of the chin.
      squareness: Exponent of the jaw's superellipse; 2 is round.
      hairline: Row.
      hair: Colour.
      hair_style: BALD, SHORT, SIDE, LONG, CURLY or BOB.
      parting: Column.
      eye: Colour of the iris.
      eye_height: Of the open eye.
      eye_shift: (x, y) of both eyes, off their canonical position.
      brow: Colour.
      brow_height: Above the eye corners.
      brow_thickness: At the inner end.
      brow_arch: Height of the bend.
      nose_width: Half the width.
      nose_shift: (x, y), off its canonical position.
      mouth_width: Half the width, at rest.
      upper_lip: Thickness.
      lower_lip: Thickness.
      lips: Colour.
      smile: How far the corners are raised.
      beard: From 0, none, to 1, full.
      moustache: From 0, none, to 1, full.
      glasses: Thickness of the frame; 0: none.
      shirt: Colour.
      collar: 0 round, 1 a deep V, 2 wide.
      backdrop: Colours at the top and the bottom.
      light: From -1, from the left, to 1, from the right.
    """

    skin: Colour
    cheek_width: float
    chin_row: float
    squareness: float
    hairline: float
    hair: Colour
    hair_style: int
    parting: float
    eye: Colour
    eye_height: float
    eye_shift: tuple[tuple[float, ...], ...]
    brow: Colour
    brow_height: float
    brow_thickness: float
    brow_arch: float
    nose_width: float
    nose_shift: tuple[float, ...]
    mouth_width: float
    upper_lip: float
    lower_lip: float
    lips: Colour
    smile: float
    beard: float
    moustache: float
    glasses: float
    shirt: Colour
    collar: int
    backdrop: tuple[Colour, Colour]
    light: float


BALD, SHORT, SIDE, LONG, CURLY, BOB = range(6)
_SKINS = ((255, 224, 200), (243, 205, 176), (226, 180, 146), (198, 146, 108), (151, 103, 72))
_HAIRS = ((28, 22, 20), (62, 42, 30), (105, 70, 42), (168, 122, 70), (214, 178, 116), (140, 62, 32))
_EYES = ((84, 54, 34), (112, 78, 44), (70, 104, 130), (96, 132, 150), (84, 110, 70))


def random_face(rng: np.random.Generator) -> DrawnFace:
    """Draws a speaker's features at random.

    Args:
      rng: Another state is another speaker.

    Returns:
      The speaker.
    """
    feminine = rng.random() < 0.5
    grey = rng.random() < 0.12
    shade = rng.uniform(0, len(_SKINS) - 1.001)
    low = int(shade)
    skin = _mix(_SKINS[low], _SKINS[low + 1], shade - low)
    hair = _jitter(rng, _HAIRS[rng.integers(3 if shade > 2.5 else len(_HAIRS))], 0.12)
    hair = _mix(hair, (176, 174, 172), rng.uniform(0.6, 1)) if grey else hair
    lipstick = feminine and rng.random() < 0.5
    lips = _mix(skin, (178, 62, 66), rng.uniform(0.4, 0.6))
    lips = _mix(lips, _hsv(rng.uniform(-0.06, 0.02), 0.75, 0.72), 0.6) if lipstick else lips
    styles = (
        (SHORT, SIDE, LONG, CURLY, BOB, BOB, LONG)
        if feminine
        else (BALD, SHORT, SHORT, SIDE, SIDE, CURLY)
    )
    hue = rng.random()
    return DrawnFace(
        skin=_jitter(rng, skin, 0.03),
        cheek_width=rng.uniform(36.5, 40.5) - feminine,
        chin_row=rng.uniform(113.5, 118) - feminine,
        squareness=rng.uniform(2.1, 2.4) + 0.25 * (not feminine),
        hairline=rng.uniform(5, 15),
        hair=hair,
        hair_style=int(rng.choice(styles)),
        parting=rng.uniform(30, 68),
        eye=_jitter(rng, _EYES[rng.integers(2 if shade > 2.5 else len(_EYES))], 0.15),
        eye_height=rng.uniform(3.5, 4.5) + 0.4 * feminine,
        eye_shift=tuple(tuple(rng.normal(0, 0.35, 2)) for _ in range(2)),
        brow=_mix(hair, (40, 30, 26), 0.35),
        brow_height=rng.uniform(9, 12),
        brow_thickness=rng.uniform(1.6, 2.6) if feminine else rng.uniform(2.4, 3.8),
        brow_arch=rng.uniform(1, 3.2),
        nose_width=rng.uniform(6.8, 9) - 0.6 * feminine,
        nose_shift=tuple(rng.normal(0, 0.35, 2)),
        mouth_width=rng.uniform(15.5, 18),
        upper_lip=rng.uniform(3.4, 4.8),
        lower_lip=rng.uniform(4.6, 6.0),
        lips=lips,
        smile=rng.uniform(-0.4, 1.2),
        beard=0.0 if feminine else float(rng.choice([0, 0, 0, 0.3, 0.7]) * rng.uniform(0.6, 1)),
        moustache=0.0 if feminine else float(rng.choice([0, 0, 0, 0.8]) * rng.uniform(0.6, 1)),
        glasses=float(rng.choice([0, 0, 0, 0, 0, 0.9, 1.4])),
        shirt=_hsv(rng.random(), rng.uniform(0.1, 0.75), rng.uniform(0.25, 0.9)),
        collar=int(rng.integers(3)),
        backdrop=(
            _hsv(hue, rng.uniform(0.05, 0.45), rng.uniform(0.55, 0.95)),
            _hsv(hue + 0.05, rng.uniform(0.05, 0.5), rng.uniform(0.35, 0.8)),
        ),
        light=rng.uniform(-1, 1),
    )


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return tuple((1 - share) * x + share * y for x, y in zip(a, b, strict=True))


def _jitter(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    factor = rng.uniform(1 - amount, 1 + amount) * rng.uniform(1 - amount / 3, 1 + amount / 3, 3)
    return tuple(np.clip(np.asarray(colour) * factor, 0, 255))


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    r, g, b = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return 255 * r, 255 * g, 255 * b


# -- Curves. Every array is [T, N, 2], points (x, y), left to right in the picture. --

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
      motion: Of T frames.
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

    def x(self, u: np.ndarray) -> np.ndarray:
        """Computes columns.

        Args:
          u: [N].

        Returns:
          [T, N].
        """
        return self.column + self.half * u

    def _line(self, u: np.ndarray) -> np.ndarray:
        # Of the closed mouth, from which the lips part.
        corners = 1 - 0.22 * self.gap / OPENING
        return self.row + 0.25 * self.gap - self.face.smile * u**2 * corners

    def _parted(self, u: np.ndarray, share: float) -> np.ndarray:
        return share * self.gap * _lens(np.clip(u / self.inner_share, -1, 1), 0.62)

    def inner_upper(self, u: np.ndarray) -> np.ndarray:
        """Computes the rows of the upper lip's inner edge.

        Args:
          u: [N].

        Returns:
          [T, N].
        """
        return self._line(u) - self._parted(u, 0.45)

    def inner_lower(self, u: np.ndarray) -> np.ndarray:
        """Computes the rows of the lower lip's inner edge.

        Args:
          u: [N].

        Returns:
          [T, N].
        """
        return self._line(u) + self._parted(u, 0.55)

    def outer_upper(self, u: np.ndarray) -> np.ndarray:
        """Computes the rows of the upper lip's outer edge.

        Args:
          u: [N].

        Returns:
          [T, N].
        """
        bow = (
            0.86
            + 0.2 * np.exp(-(((np.abs(u) - 0.27) / 0.2) ** 2))
            - 0.1 * np.exp(-((u / 0.1) ** 2))
        )
        spread = 0.45 * self.gap * _lens(u, 0.8)
        return self._line(u) - spread - self.upper_thickness * _lens(u, 0.75) * bow

    def outer_lower(self, u: np.ndarray) -> np.ndarray:
        """Computes the rows of the lower lip's outer edge.

        Args:
          u: [N].

        Returns:
          [T, N].
        """
        spread = 0.55 * self.gap * _lens(u, 0.7)
        return self._line(u) + spread + self.lower_thickness * _lens(u, 0.6)

    def polygons(self) -> dict[str, np.ndarray]:
        """Computes the polygons to fill and the lines to stroke.

        Returns:
          Points [T, N, 2] by name; "line", between the lips, is an open curve.
        """
        u, v = _U, _U * self.inner_share
        x_in, top, bottom = self.x(v), self.inner_upper(v), self.inner_lower(v)
        teeth_height = np.clip(0.38 * self.gap, 0, 3.4) + 1.6 * self.motion.bite[:, None]
        teeth = np.minimum(top + teeth_height * _lens(_U, 0.3), bottom)
        tongue_height = self.gap * (0.18 + 0.32 * self.motion.tongue[:, None]) * _lens(_U, 0.8)
        tongue = np.maximum(bottom - tongue_height, top)
        lower = _points(self.x(u), self.outer_lower(u))
        edge = _points(x_in, bottom)
        shade_x, shade = self.x(u * 0.62), self.outer_lower(u * 0.62)

        def closed(x, a, b):
            return np.concatenate([_points(x, a), _points(x, b)[:, ::-1]], 1)

        shut = self.gap[:, :, None] < 0.5  # OpenCV draws the edge of even an empty polygon.
        return {
            "mouth": np.concatenate([_points(self.x(u), self.outer_upper(u)), lower[:, ::-1]], 1),
            "lower_lip": np.concatenate([edge, lower[:, ::-1]], 1),
            "hole": np.where(shut, OUTSIDE, closed(x_in, top, bottom)),
            "teeth": np.where(shut, OUTSIDE, closed(x_in, top, teeth)),
            "tongue": np.where(shut, OUTSIDE, closed(x_in, tongue, bottom)),
            "line": _points(x_in, 0.5 * (top + bottom)),
            "shade": closed(shade_x, shade, shade + 2.6 * _lens(u, 0.5)),
            "shine": closed(
                self.x(u * 0.35),
                self.inner_lower(u * 0.35) + 0.35 * self.lower_thickness,
                self.inner_lower(u * 0.35) + (0.35 + 0.3 * _lens(u, 0.5)) * self.lower_thickness,
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
            _points(self.x(upper), self.outer_upper(upper)),
            _points(self.x(lower), self.outer_lower(lower)),
            _points(self.x(inner), self.inner_upper(inner)),
            _points(self.x(centre), self.inner_lower(centre)),
        ]
        return np.concatenate(parts, 1)


@dataclasses.dataclass
class Eye:
    """One eye, as functions of u in [-1, 1], from its left to its right corner in the picture.

    Attributes:
      face: The speaker.
      motion: Of T frames.
      side: 0 left in the picture, 1 right.
    """

    face: DrawnFace
    motion: Motion
    side: int

    def __post_init__(self):
        corners = np.asarray(EYE_CORNERS[self.side]) + self.face.eye_shift[self.side]
        self.left, self.right = corners
        self.closed = self.motion.blink[:, None]

    def x(self, u: np.ndarray) -> np.ndarray:
        """Computes columns.

        Args:
          u: [N].

        Returns:
          [N].
        """
        return self.left[0] + (self.right[0] - self.left[0]) * (u + 1) / 2

    def _axis(self, u: np.ndarray) -> np.ndarray:
        row = self.left[1] + (self.right[1] - self.left[1]) * (u + 1) / 2
        return row + np.zeros_like(self.closed)  # For every frame.

    def lower(self, u: np.ndarray) -> np.ndarray:
        """Computes the rows of the lower lid.

        Args:
          u: [N].

        Returns:
          [T, N].
        """
        return self._axis(u) + 0.42 * self.face.eye_height * _lens(u, 0.9)

    def upper(self, u: np.ndarray) -> np.ndarray:
        """Computes the rows of the upper lid, which blinks.

        Args:
          u: [N].

        Returns:
          [T, N].
        """
        wide = self.face.eye_height * (1 + 0.12 * self.motion.raise_brow[:, None])
        opened = self._axis(u) - wide * _lens(u, 0.75)
        return opened + self.closed * (self.lower(u) - opened)

    def crease(self, u: np.ndarray) -> np.ndarray:
        """Computes the rows of the fold above the upper lid.

        Args:
          u: [N].

        Returns:
          [T, N].
        """
        return self._axis(u) - (self.face.eye_height + 2.2) * _lens(u, 0.6)

    def polygons(self) -> dict[str, np.ndarray]:
        """Computes the polygons to fill and the lines to stroke.

        Returns:
          Points [T, N, 2] by name; "lash" and "rim" are open curves.
        """
        x, upper, lower = self.x(_U), self.upper(_U), self.lower(_U)
        upper_curve, lower_curve = _points(x, upper), _points(x, lower)
        centre = (self.left + self.right) / 2 + self.motion.gaze - (0, 0.25 * self.face.eye_height)
        round_eye = _points(np.cos(_CIRCLE), np.sin(_CIRCLE))

        def disc(radius, offset=(0.0, 0.0)):
            points = centre[:, None] + np.asarray(offset) + radius * round_eye
            u = 2 * (points[..., 0] - self.left[0]) / (self.right[0] - self.left[0]) - 1
            rows = np.minimum(np.maximum(points[..., 1], self.upper(u)), self.lower(u))
            return _points(points[..., 0], rows)

        radius = 0.5 * self.face.eye_height + 1.2
        return {
            "lid": np.concatenate([_points(x, self.crease(_U)), upper_curve[:, ::-1]], 1),
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
        parts = [
            _points(self.x(upper), self.upper(upper)),
            _points(self.x(lower), self.lower(lower)),
        ]
        return np.concatenate(parts, 1)


def brow(face: DrawnFace, motion: Motion, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Computes an eyebrow.

    Args:
      face: The speaker.
      motion: Of T frames.
      side: 0 left in the picture, 1 right.

    Returns:
      Its outline [T, N, 2] and its centre line, iBUG points 17 to 21 or 22 to 26, [T, 5, 2].
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
      motion: Of T frames.
      face: The speaker.

    Returns:
      Factors, 1 or more, [T].
    """
    return 1 + 0.42 * OPENING * motion.opening / (face.chin_row - MOUTH_ROW)


def landmarks(face: DrawnFace, motion: Motion) -> np.ndarray:
    """Computes all landmarks, before the head moves.

    Args:
      face: The speaker.
      motion: Of T frames.

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
