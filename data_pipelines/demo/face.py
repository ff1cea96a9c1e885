"""A drawn person: the features in which faces differ.

Lengths are pixels of the paper's 128x96 crop.
"""

import colorsys
import dataclasses

import numpy as np

# The paper's canonical face: iBUG points 33, 36, 39, 42, 45.
NOSE_BASE = (49.40, 71.82)
EYE_CORNERS = (((24.11, 43.39), (37.93, 44.15)), ((58.86, 43.23), (72.49, 42.03)))
MIDDLE = 48.9  # Column of the face's axis.
MOUTH_ROW = 89.0  # Of the closed lips; the jaw moves what lies below.
OPENING = 13.5  # Between the lips, in an open vowel.

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
      eye_height: Height of the open eye.
      eye_shift: (x, y) of both eyes, off their canonical position.
      brow: Colour.
      brow_height: Above the eye corners.
      brow_thickness: Thickness of the brow at its inner end.
      brow_arch: Height of the bend.
      nose_width: Half the width.
      nose_shift: (x, y), off its canonical position.
      mouth_width: Half the width, at rest.
      upper_lip: Thickness of the upper lip.
      lower_lip: Thickness of the lower lip.
      lips: Colour.
      smile: Raise of the mouth's corners.
      beard: Fullness of the beard, from 0, none, to 1, full.
      moustache: Fullness of the moustache, from 0, none, to 1, full.
      glasses: Thickness of the frame; 0: none.
      shirt: Colour.
      collar: 0 round, 1 a deep V, 2 wide.
      backdrop: Colours at the top and the bottom.
      light: Direction of the light, from -1, the left, to 1, the right.
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
    styles = (BALD, SHORT, SHORT, SIDE, SIDE, CURLY)
    if feminine:
        styles = (SHORT, SIDE, LONG, CURLY, BOB, BOB, LONG)
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
