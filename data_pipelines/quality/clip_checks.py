"""One prepared clip looked at: its measures against limits, and what is wrong with it."""

import dataclasses
import math
import re
from collections.abc import Sequence

import numpy as np

from data_pipelines.aligning import duplicates
from data_pipelines.faces import head_pose, measures

AGREEING, SURE = 0.5, 0.6  # Correlations of lips and sound from which an offset counts and warns.
MAX_OFFSET = 2  # Frames.


@dataclasses.dataclass(frozen=True)
class Measure:
    """How one number of a clip is shown; beyond its limits the clip gets a warning."""

    label: str
    unit: str
    what: str
    low: float = -math.inf
    high: float = math.inf

    @property
    def limit(self) -> str:
        """The limits in words; empty where there are none."""
        ends = (("under", self.low), ("over", self.high))
        return " or ".join(
            f"{side} {end:g} {self.unit}".strip() for side, end in ends if math.isfinite(end)
        )

    def excess(self, values: np.ndarray) -> np.ndarray:
        """By how much values [N] are beyond the limits; 0 or less: they are not. NaN gives 0."""
        return np.nan_to_num(np.maximum(self.low - values, values - self.high), nan=0.0)


MEASURES = {
    "seconds": Measure("Length", "s", "of the clip", low=0.5),
    "faceless": Measure(
        "Without a face", "%", "of the frames; their landmarks lie between the neighbours'", high=5
    ),
    "residual": Measure(
        "Off its place",
        "%",
        "of the height: the farthest that an eye corner or the nose's base ever is",
        high=3,
    ),
    "jump": Measure(
        "Jump", "%", "of the height: the face's largest move from one frame to the next", high=3
    ),
    "yaw": Measure("Yaw", "°", "median; to the right of the image is positive", -30, 30),
    "pitch": Measure("Pitch", "°", "median; up is positive", -30, 30),
    "roll": Measure("Roll", "°", "median, of what the alignment leaves", -10, 10),
    "yaw_range": Measure("Yaw range", "°", "5th to 95th percentile of the frames", high=30),
    "pitch_range": Measure("Pitch range", "°", "5th to 95th percentile of the frames", high=30),
    "frozen": Measure("Frozen", "%", "of the frames repeat the one before", high=10),
    "warmth": Measure("Warmth", "levels", "of 255: mean red minus mean blue"),
    "level": Measure("Level", "dBFS", "RMS of the frames with speech", low=-40),
    "peak": Measure("Peak", "dBFS", "the loudest sample"),
    "dynamics": Measure("Loud over quiet", "dB", "95th over 5th percentile of the frames", low=10),
    "clipped": Measure("Clipped", "%", "of the samples are at full scale", high=0.1),
    "clipped_run": Measure("Clipped run", "samples", "the most at full scale in a row", high=20),
    "silence": Measure("Silence", "%", "of the frames, 25 dB under the loud ones", high=80),
    "lead": Measure("Silence before", "s", "the first speech"),
    "trail": Measure("Silence after", "s", "the last speech"),
    "dc": Measure("DC offset", "%", "of full scale", high=1),
    "offset": Measure(
        "Sound late",
        "frames",
        f"the shift at which changes of loudness and of the mouth's opening agree best, where they "
        f"do by {AGREEING} or more; a warning asks for {SURE}",
        -MAX_OFFSET,
        MAX_OFFSET,
    ),
    "agreement": Measure("Agreement", "", "correlation of lips and sound at that shift"),
}


@dataclasses.dataclass(frozen=True)
class Inspected:
    """What was found of one clip."""

    id: str
    speaker: str
    transcript: str
    values: dict[str, float]  # By the names of MEASURES; NaN where there is nothing to measure.
    faults: list[tuple[str, str]]  # Kind (a key of check.FAULTS) and what it is.
    fingerprint: duplicates.Fingerprint | None  # None where pictures or sound are not whole.


def inspect(clip) -> Inspected:
    """A stored.Clip -> its measures and faults; a clip with broken arrays has faults alone."""
    faults = broken(clip)
    if faults:
        return Inspected(clip.id, clip.speaker, clip.transcript, {}, faults, None)
    frames = clip.frames
    height, width = frames.shape[1:3]
    levels = measures.loudness(clip.audio, len(clip))
    offset, agreement = measures.audio_offset(measures.mouth_opening(clip.landmarks), levels)
    angles = head_pose.angles(clip.landmarks, height, width)
    spread = np.ptp(np.percentile(angles, [5, 95], axis=0), axis=0)
    unseen = np.isnan(clip.blink)
    values = {
        "seconds": len(clip) / clip.fps,
        "faceless": math.nan if unseen.all() else 100 * float(unseen.mean()),
        "residual": head_pose.residual(clip.landmarks, height, width),
        "jump": head_pose.jump(clip.landmarks, height),
        **dict(zip(("yaw", "pitch", "roll"), np.median(angles, axis=0).tolist(), strict=True)),
        "yaw_range": float(spread[0]),
        "pitch_range": float(spread[1]),
        "frozen": measures.frozen_percent(frames),
        "warmth": measures.color_warmth(frames),
        **measures.audio_measures(clip.audio, len(clip), clip.fps),
        "offset": offset if agreement >= AGREEING else math.nan,
        "agreement": agreement,
    }
    print_of = duplicates.fingerprint(clip.audio, clip.audio_rate, clip.jpegs)
    return Inspected(clip.id, clip.speaker, clip.transcript, values, text_faults(clip), print_of)


def broken(clip) -> list[tuple[str, str]]:
    """Faults of the arrays: lengths that do not agree, frames that show nothing."""
    t = len(clip)
    lengths = {
        "landmarks": (len(clip.landmarks), t),
        "blink": (len(clip.blink), t),
        "samples": (len(clip.audio), t * clip.stride),
    }
    faults = [
        ("lengths", f"{found} {name} where {t} frames need {needed}")
        for name, (found, needed) in lengths.items()
        if found != needed
    ]
    if not t:
        return [*faults, ("lengths", "no frames")]
    if not np.isfinite(clip.landmarks).all():
        faults.append(("landmarks", "landmarks that are not finite"))
    try:
        if not clip.frames.any():  # Decoded here, once.
            faults.append(("frames", "black, all of them"))
    except Exception as e:  # Of any kind, by the bytes; the clip is named, and the others go on.
        faults.append(("frames", str(e)))
    return faults


def text_faults(clip) -> list[tuple[str, str]]:
    """Faults of the words: other ones than in the transcript, or times outside the clip."""
    faults = []
    spoken = " ".join(text for text, _, _ in clip.words)
    if clip.words and clip.transcript and plain(spoken) != plain(clip.transcript):
        faults.append(("words", f"the words are {spoken!r}, the transcript {clip.transcript!r}"))
    seconds = len(clip) / clip.fps
    for name, spans in (("word", clip.words), ("phone", clip.phones)):
        if fault := _first_bad_span(spans, seconds, 1 / clip.fps):
            faults.append(("times", f"{name} {fault}"))
    return faults


def plain(text: str) -> list[str]:
    """Its words without case and punctuation."""
    return re.findall(r"[\w']+", text.lower())


def _first_bad_span(
    spans: Sequence[tuple[str, float, float]], seconds: float, slack: float
) -> str | None:
    """Why the first bad one of (text, start, end) is bad."""
    before = 0.0
    for text, start, end in spans:
        if not 0 <= start <= end <= seconds + slack:
            return f"{text!r} from {start:.2f} to {end:.2f} s, in a clip of {seconds:.2f} s"
        if start < before - slack:
            return f"{text!r} starts at {start:.2f} s, before the one in front ends"
        before = end
    return None
