"""Phones to the path of the mouth; blinks, brows, gaze and head, which the sound does not tell."""

import dataclasses

import numpy as np

from data_pipelines.demo.speech import PhoneSpan

# Per sound: opening 0..1, spread -1 (rounded) .. 1 (wide), tongue 0..1 raised, and dominance, how
# much it imposes itself on its neighbours (Cohen and Massaro 1993). Diphthongs have two targets.
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
_LEAD = 0.015  # s; the mouth prepares a sound before it is heard.
_CLOSE_EARLY = 0.045  # s; lips meet before a stop's burst, which is what eSpeak times.


@dataclasses.dataclass
class Motion:
    """What moves, per frame; arrays [T] unless noted."""

    opening: np.ndarray  # 0 closed .. 1 an open vowel.
    spread: np.ndarray  # -1 rounded .. 1 wide.
    press: np.ndarray  # 1 lips pressed together.
    bite: np.ndarray  # 1 lower lip on the upper teeth.
    tongue: np.ndarray  # 1 raised to the teeth.
    blink: np.ndarray  # 1 closed.
    raise_brow: np.ndarray  # 0 .. 1
    frown: np.ndarray  # 0 .. 1
    gaze: np.ndarray  # [T, 2], pixels at 128x96.
    shift: np.ndarray  # [T, 2], pixels at 128x96.
    angle: np.ndarray  # Degrees.


def visemes(phone: str) -> list[tuple[float, float, float, float]]:
    """The targets of a sound; raises KeyError on one that English voices do not make."""
    return _VISEMES[_SAME.get(phone, phone)]


def mouth(phones: list[PhoneSpan], frames: int, fps: float) -> dict[str, np.ndarray]:
    """Phones -> opening, spread, press, bite, tongue, each [T], at the middle of every frame."""
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
    """[T, N] rows of Gaussian weights that sum to one."""
    weights = np.exp(-0.5 * ((at[:, None] - times) / width) ** 2)
    return weights / weights.sum(1, keepdims=True)


def perform(
    rng: np.random.Generator, phones: list[PhoneSpan], frames: int, fps: float, amplitude: float
) -> Motion:
    """The whole performance of a clip; amplitude scales the speaker's mouth opening."""
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
    """Closure [T] in 0..1: about 0.3 blinks/s of 0.15-0.3 s, the eyes open in the first frame."""
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
    """Smooth events, `rate` a second, that begin after the first frame."""
    total = np.zeros(len(times))
    for _ in range(rng.poisson(rate * times[-1])):
        duration = rng.uniform(0.5, 1.1)
        phase = (times - rng.uniform(0.04, times[-1])) / duration
        bump = np.where((phase > 0) & (phase < 1), np.sin(np.pi * np.clip(phase, 0, 1)) ** 2, 0)
        total = np.maximum(total, rng.uniform(0.5, 1) * bump)
    return total


def _wander(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """A slow path within -1 .. 1."""
    weights = rng.dirichlet((2.0, 1.0, 0.5))
    frequencies, phases = rng.uniform((0.05, 0.2, 0.4), (0.2, 0.4, 0.7)), rng.uniform(0, 1, 3)
    return np.sin(2 * np.pi * (np.outer(times, frequencies) + phases)) @ weights


def _saccades(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Gaze [T, 2] that rests, then jumps; mostly at the camera."""
    gaze = np.zeros((len(times), 2))
    start = rng.exponential(1.5)
    while start < times[-1]:
        target = rng.normal(0, (0.7, 0.3)) * (rng.random() < 0.6)
        gaze[times >= start] = np.clip(target, -1.2, 1.2)
        start += 0.3 + rng.exponential(1.2)
    return gaze
