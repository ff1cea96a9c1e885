"""Motion of a drawn face: the mouth follows the phones; blinks, brows, gaze and head are random."""

import dataclasses

import numpy as np

from data_pipelines.contract import TimedText

# Per phone: opening in [0, 1], spread from -1 (rounded) to 1 (wide), raised tongue in [0, 1], and
# dominance over its neighbours (Cohen and Massaro 1993). Diphthongs have two targets.
_VISEMES = {
    "iː": [(0.40, 0.9, 0.4, 1.0)],
    "i": [(0.40, 0.8, 0.4, 0.9)],
    "ɪ": [(0.50, 0.5, 0.3, 0.9)],
    "ɛ": [(0.75, 0.4, 0.2, 1.0)],
    "e": [(0.70, 0.5, 0.2, 1.0)],
    "a": [(1.00, 0.2, 0.0, 1.0)],
    "æ": [(0.95, 0.4, 0.0, 1.0)],
    "ɑː": [(1.00, 0.0, 0.0, 1.2)],
    "ʌ": [(0.80, 0.0, 0.1, 1.0)],
    "ɐ": [(0.65, 0.0, 0.1, 0.8)],
    "ə": [(0.50, 0.0, 0.2, 0.6)],
    "ɚ": [(0.45, -0.2, 0.3, 0.7)],
    "ɜː": [(0.55, -0.2, 0.2, 1.0)],
    "ɔː": [(0.75, -0.7, 0.0, 1.2)],
    "ɒ": [(0.85, -0.4, 0.0, 1.0)],
    "ʊ": [(0.40, -0.8, 0.1, 1.0)],
    "uː": [(0.32, -1.0, 0.1, 1.2)],
    "eɪ": [(0.75, 0.4, 0.2, 1.1), (0.45, 0.8, 0.4, 0.9)],
    "aɪ": [(1.00, 0.1, 0.0, 1.2), (0.50, 0.6, 0.3, 0.9)],
    "aʊ": [(1.00, 0.0, 0.0, 1.2), (0.45, -0.9, 0.1, 1.0)],
    "əʊ": [(0.65, -0.4, 0.1, 1.0), (0.35, -1.0, 0.1, 1.1)],
    "oʊ": [(0.65, -0.6, 0.1, 1.0), (0.35, -1.0, 0.1, 1.1)],
    "iə": [(0.40, 0.7, 0.3, 1.0), (0.50, 0.0, 0.2, 0.8)],
    "oə": [(0.65, -0.7, 0.0, 1.1), (0.50, -0.2, 0.1, 0.8)],
    "ɑə": [(1.00, 0.0, 0.0, 1.2), (0.70, 0.0, 0.1, 0.9)],
    "w": [(0.18, -1.0, 0.0, 1.3)],
    "ɹ": [(0.28, -0.6, 0.3, 0.7)],
    "j": [(0.32, 0.6, 0.4, 0.6)],
    "l": [(0.40, 0.2, 1.0, 0.6)],
    "θ": [(0.28, 0.1, 1.0, 1.0)],
    "ð": [(0.28, 0.1, 1.0, 1.0)],
    "ʃ": [(0.25, -0.6, 0.4, 1.0)],
    "f": [(0.15, 0.1, 0.1, 1.2)],
    "p": [(0.00, 0.0, 0.2, 1.2)],
    "s": [(0.18, 0.4, 0.5, 0.8)],
    "t": [(0.22, 0.2, 0.7, 0.6)],
    "k": [(0.35, 0.1, 0.2, 0.4)],
    "h": [(0.45, 0.0, 0.2, 0.2)],
}
_SAME = {
    **dict.fromkeys(("b", "m"), "p"),
    "v": "f",
    "z": "s",
    **dict.fromkeys(("d", "n", "t̪", "ɾ"), "t"),
    **dict.fromkeys(("ɡ", "ŋ"), "k"),
    **dict.fromkeys(("ʒ", "tʃ", "dʒ"), "ʃ"),
    "ɔːɹ": "oə",
    "ɑːɹ": "ɑə",
    "oːɹ": "oə",
}
_REST = (0.0, 0.0, 0.2, 1.0)
_LIPS_MEET = ("p", "f")  # Full closure; lower lip on the upper teeth.
_STEP = 0.005  # s
_WIDTH, _LIP_WIDTH = 0.038, 0.018  # s, of the smoothing of the whole mouth and of the closures.
_LEAD = 0.015  # s; the mouth prepares a phone before it sounds.
_CLOSE_EARLY = 0.045  # s; lips meet before a stop's burst, which is what eSpeak times.


@dataclasses.dataclass
class Motion:
    """The motion of a face in every frame.

    Attributes:
      opening: [T], from 0, a closed mouth, to 1, an open vowel.
      spread: [T], from -1, rounded lips, to 1, wide ones.
      press: [T]; 1: lips pressed together.
      bite: [T]; 1: the lower lip on the upper teeth.
      tongue: [T]; 1: raised to the teeth.
      blink: [T]; 1: closed eyes.
      raise_brow: [T], in [0, 1].
      frown: [T], in [0, 1].
      gaze: [T, 2], pixels at 128x96.
      shift: Shift of the head, [T, 2], pixels at 128x96.
      angle: Angle of the head, [T], degrees.
    """

    opening: np.ndarray
    spread: np.ndarray
    press: np.ndarray
    bite: np.ndarray
    tongue: np.ndarray
    blink: np.ndarray
    raise_brow: np.ndarray
    frown: np.ndarray
    gaze: np.ndarray
    shift: np.ndarray
    angle: np.ndarray


def visemes(phone: str) -> list[tuple[float, float, float, float]]:
    """Looks up the mouth's targets for a phone.

    Args:
      phone: A phone in IPA, as eSpeak NG's English voices have it.

    Returns:
      Opening, spread, tongue and dominance, once or, of a diphthong, twice.

    Raises:
      KeyError: There is no such phone.
    """
    return _VISEMES[_SAME.get(phone, phone)]


def mouth(phones: list[TimedText], frames: int, fps: float) -> dict[str, np.ndarray]:
    """Computes the motion of the mouth.

    Args:
      phones: Phones in IPA, times in seconds.
      frames: T.
      fps: Frame rate in frames/s.

    Returns:
      opening, spread, press, bite and tongue of a Motion, at the middle of every frame.
    """
    times = np.arange(-0.2, frames / fps + 0.2, _STEP)
    targets = np.tile(_REST, (len(times), 1))
    contact = np.zeros((len(times), 2))
    for phone in phones:
        parts = visemes(phone.text)
        edges = np.linspace(phone.start, phone.end, len(parts) + 1)
        for part, start, end in zip(parts, edges, edges[1:], strict=False):
            targets[(times >= start) & (times < end)] = part
        kind = _SAME.get(phone.text, phone.text)
        if kind in _LIPS_MEET:
            held = (times >= phone.start - _CLOSE_EARLY) & (times < phone.end)
            contact[held, _LIPS_MEET.index(kind)] = 1
    centres = (np.arange(frames) + 0.5) / fps
    smooth = _kernel(centres + _LEAD, times, _WIDTH) * targets[:, 3]  # Dominance.
    opening, spread, tongue = (smooth @ targets[:, :3] / smooth.sum(1, keepdims=True)).T
    press, bite = np.minimum(1, 1.15 * _kernel(centres, times, _LIP_WIDTH) @ contact).T
    opening = np.clip(1.12 * opening - 0.02, 0, 1.1) * (1 - press) * (1 - 0.8 * bite)
    return dict(opening=opening, spread=spread, press=press, bite=bite, tongue=tongue)


def _kernel(at: np.ndarray, times: np.ndarray, width: float) -> np.ndarray:
    """Returns [T, N], rows of Gaussian weights that sum to one."""
    weights = np.exp(-0.5 * ((at[:, None] - times) / width) ** 2)
    return weights / weights.sum(1, keepdims=True)


def random_motion(
    rng: np.random.Generator, phones: list[TimedText], frames: int, fps: float, amplitude: float
) -> Motion:
    """Computes the motion of a clip: the mouth by the phones, everything else at random.

    Args:
      rng: Random generator for everything but the mouth.
      phones: Phones in IPA, times in seconds.
      frames: T.
      fps: Frame rate in frames/s.
      amplitude: Scales the opening of the mouth.

    Returns:
      The motion of T frames.
    """
    path = mouth(phones, frames, fps)
    path["opening"] = path["opening"] * amplitude
    times = np.arange(frames) / fps
    raise_brow, frown = _bumps(rng, times, rate=0.25), _bumps(rng, times, rate=0.12)
    wander = np.stack([_wander(rng, times) for _ in range(3)], -1)
    return Motion(
        **path,
        blink=blinks(rng, times),
        raise_brow=raise_brow,
        frown=frown * (1 - raise_brow),
        gaze=_saccades(rng, times),
        shift=wander[:, :2] * 1.1,
        angle=wander[:, 2] * 0.8,
    )


def blinks(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Draws about 0.3 blinks/s of 0.15 to 0.3 s, the eyes open in the first frame.

    Args:
      rng: The source of randomness.
      times: Seconds, [T].

    Returns:
      Closure in [0, 1], [T].
    """
    closure = np.zeros(len(times))
    start = 0.12 + rng.exponential(2.2)
    while start < times[-1]:
        duration = rng.uniform(0.15, 0.3)
        phase = (times - start) / duration
        falling, rising = phase / 0.35, (1 - phase) / 0.5  # Closing is faster than opening.
        closure = np.maximum(closure, np.clip(np.minimum(falling, rising), 0, 1))
        start += duration + 0.4 + rng.exponential(2.2)
    return closure


def _bumps(rng: np.random.Generator, times: np.ndarray, rate: float) -> np.ndarray:
    """Returns smooth events [T] in [0, 1], `rate` a second, that begin after the first frame."""
    total = np.zeros(len(times))
    for _ in range(rng.poisson(rate * times[-1])):
        duration = rng.uniform(0.5, 1.1)
        phase = (times - rng.uniform(0.04, times[-1])) / duration
        bump = np.where((phase > 0) & (phase < 1), np.sin(np.pi * np.clip(phase, 0, 1)) ** 2, 0)
        total = np.maximum(total, rng.uniform(0.5, 1) * bump)
    return total


def _wander(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Returns a slow curve [T] in [-1, 1]."""
    weights = rng.dirichlet((2.0, 1.0, 0.5))
    frequencies, phases = rng.uniform((0.05, 0.2, 0.4), (0.2, 0.4, 0.7)), rng.uniform(0, 1, 3)
    return np.sin(2 * np.pi * (np.outer(times, frequencies) + phases)) @ weights


def _saccades(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Returns a gaze [T, 2] that rests, then jumps; mostly at the camera."""
    gaze = np.zeros((len(times), 2))
    start = rng.exponential(1.5)
    while start < times[-1]:
        target = rng.normal(0, (0.7, 0.3)) * (rng.random() < 0.6)
        gaze[times >= start] = np.clip(target, -1.2, 1.2)
        start += 0.3 + rng.exponential(1.2)
    return gaze
