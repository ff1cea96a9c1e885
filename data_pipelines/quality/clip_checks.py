"""Checks of one prepared clip: measures with limits, and faults of its arrays and texts."""

import dataclasses
import math
import re
from collections.abc import Sequence

import numpy as np

from data_pipelines.aligning import duplicates
from data_pipelines.faces import head_pose, measures
from data_pipelines.loading.dataset import DatasetClip

# Correlations of lips and sound from which an offset is measured, and is worth a warning.
MIN_AGREEMENT, WARNING_AGREEMENT = 0.5, 0.6
MAX_OFFSET = 2  # Frames.


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number that describes a clip; beyond its limits the clip gets a warning.

    Attributes:
      label: Name of the measure on the page.
      unit: Unit of the value, may be empty.
      description: What it measures.
      low: The lowest value without a warning.
      high: The highest value without a warning.
    """

    label: str
    unit: str
    description: str
    low: float = -math.inf
    high: float = math.inf

    @property
    def limit(self) -> str:
        """Limits in words; empty where there are none."""
        ends = (("under", self.low), ("over", self.high))
        finite = [(side, end) for side, end in ends if math.isfinite(end)]
        return " or ".join(f"{side} {end:g} {self.unit}".strip() for side, end in finite)

    def excess(self, values: np.ndarray) -> np.ndarray:
        """Computes by how much values are beyond the limits.

        Args:
          values: [N].

        Returns:
          [N]; 0 or less within the limits, 0 for NaN.
        """
        return np.nan_to_num(np.maximum(self.low - values, values - self.high), nan=0.0)


MEASURES = {
    "seconds": Measure("Length", "s", "of the clip", low=0.5),
    "faceless": Measure(
        "No face", "%", "of the frames; their landmarks are interpolated between frames", high=5
    ),
    "residual": Measure(
        "Misalignment",
        "%",
        "of the height: the largest distance of an eye corner or the nose's base from its position",
        high=3,
    ),
    "jump": Measure(
        "Jump", "%", "of the height: the face's largest move from one frame to the next", high=3
    ),
    "yaw": Measure("Yaw", "°", "median; to the right of the image is positive", -30, 30),
    "pitch": Measure("Pitch", "°", "median; up is positive", -30, 30),
    "roll": Measure("Roll", "°", "median, after the alignment", -10, 10),
    "yaw_range": Measure("Yaw range", "°", "5th to 95th percentile of the frames", high=30),
    "pitch_range": Measure("Pitch range", "°", "5th to 95th percentile of the frames", high=30),
    "frozen": Measure("Frozen", "%", "of the frames repeat the previous one", high=10),
    "warmth": Measure("Warmth", "levels", "of 255: mean red minus mean blue"),
    "level": Measure("Level", "dBFS", "RMS of the frames with speech", low=-40),
    "peak": Measure("Peak", "dBFS", "the loudest sample"),
    "dynamics": Measure(
        "Dynamic range", "dB", "from the 5th to the 95th percentile of the frames", low=10
    ),
    "clipped": Measure("Clipped", "%", "of the samples are at full scale", high=0.1),
    "clipped_run": Measure("Clipped run", "samples", "the longest run at full scale", high=20),
    "silence": Measure("Silence", "%", "of the frames, 25 dB below the loud ones", high=80),
    "lead": Measure("Leading silence", "s", "before the first speech"),
    "trail": Measure("Trailing silence", "s", "after the last speech"),
    "dc": Measure("DC offset", "%", "of full scale", high=1),
    "offset": Measure(
        "Audio delay",
        "frames",
        "the shift at which changes of loudness and of the mouth's opening correlate best, where "
        f"they do by {MIN_AGREEMENT} or more, for a warning by {WARNING_AGREEMENT}",
        -MAX_OFFSET,
        MAX_OFFSET,
    ),
    "agreement": Measure("Correlation", "", "of lips and sound at that shift"),
    "lost_pauses": Measure(
        "Sound out of step",
        "",
        "gain in agreement of lips and sound if the digital silence at the clip's end is put between"
        " parts of the sound, where it seems to be missing",
        high=25,
    ),
}


@dataclasses.dataclass(frozen=True)
class ClipReport:
    """The measures and faults of one clip.

    Attributes:
      id: The clip's.
      speaker: The clip's.
      transcript: The clip's.
      values: Values by the names of MEASURES; NaN where there is nothing to measure.
      faults: Kind, a key of check.FAULTS, and text.
      fingerprint: Fingerprint of the recording; None for a clip with damaged arrays.
    """

    id: str
    speaker: str
    transcript: str
    values: dict[str, float]
    faults: list[tuple[str, str]]
    fingerprint: duplicates.Fingerprint | None


def inspect_clip(clip: DatasetClip) -> ClipReport:
    """Measures a clip and finds its faults.

    Args:
      clip: The clip.

    Returns:
      The clip's report, without measures where its arrays are damaged.
    """
    faults = array_faults(clip)
    if faults:
        return ClipReport(clip.id, clip.speaker, clip.transcript, {}, faults, None)
    frames = clip.frames
    height, width = frames.shape[1:3]
    levels = measures.loudness(clip.audio, len(clip))
    opening = measures.mouth_opening(clip.landmarks)
    offset, agreement = measures.audio_offset(opening, levels)
    angles = head_pose.angles(clip.landmarks, height, width)
    spread = np.ptp(np.percentile(angles, [5, 95], axis=0), axis=0)
    faceless = np.isnan(clip.blink)
    values = {
        "seconds": len(clip) / clip.fps,
        "faceless": math.nan if faceless.all() else 100 * float(faceless.mean()),
        "residual": head_pose.residual(clip.landmarks, height, width),
        "jump": head_pose.jump(clip.landmarks, height),
        **dict(zip(("yaw", "pitch", "roll"), np.median(angles, axis=0).tolist(), strict=True)),
        "yaw_range": float(spread[0]),
        "pitch_range": float(spread[1]),
        "frozen": measures.frozen_percent(frames),
        "warmth": measures.color_warmth(frames),
        **measures.audio_measures(clip.audio, len(clip), clip.fps),
        "offset": offset if agreement >= MIN_AGREEMENT else math.nan,
        "agreement": agreement,
        "lost_pauses": measures.lost_pauses(opening, levels),
    }
    fingerprint = duplicates.fingerprint(clip.audio, clip.audio_rate, clip.jpegs)
    texts = text_faults(clip)
    return ClipReport(clip.id, clip.speaker, clip.transcript, values, texts, fingerprint)


def array_faults(clip: DatasetClip) -> list[tuple[str, str]]:
    """Finds lengths that do not agree, values that are not finite, and unusable frames.

    Args:
      clip: The clip.

    Returns:
      Kind, a key of check.FAULTS, and text.
    """
    t = len(clip)
    lengths = {
        "landmarks": (len(clip.landmarks), t),
        "blink": (len(clip.blink), t),
        "samples": (len(clip.audio), t * clip.stride),
    }
    faults = [
        ("lengths", f"{length} {name}, but {t} frames need {needed}")
        for name, (length, needed) in lengths.items()
        if length != needed
    ]
    if not t:
        return [*faults, ("lengths", "no frames")]
    if not np.isfinite(clip.landmarks).all():
        faults.append(("landmarks", "landmarks that are not finite"))
    try:
        if not clip.frames.any():  # Decoded here, once.
            faults.append(("frames", "all black"))
    except Exception as e:  # Damaged bytes raise errors of any kind; the other clips are checked.
        faults.append(("frames", str(e)))
    return faults


def text_faults(clip: DatasetClip) -> list[tuple[str, str]]:
    """Finds words that differ from the transcript, and times outside the clip or out of order.

    Args:
      clip: The clip.

    Returns:
      Kind, a key of check.FAULTS, and text.
    """
    faults = []
    spoken = " ".join(text for text, _, _ in clip.words)
    if clip.words and clip.transcript and words_of(spoken) != words_of(clip.transcript):
        faults.append(("words", f"the words are {spoken!r}, the transcript {clip.transcript!r}"))
    seconds = len(clip) / clip.fps
    for name, spans in (("word", clip.words), ("phone", clip.phones)):
        if fault := _first_bad_span(spans, seconds, 1 / clip.fps):
            faults.append(("times", f"{name} {fault}"))
    return faults


def words_of(text: str) -> list[str]:
    """Splits a text into words.

    Args:
      text: Any text.

    Returns:
      Lower-case words without punctuation.
    """
    return re.findall(r"[\w']+", text.lower())


def _first_bad_span(
    spans: Sequence[tuple[str, float, float]], seconds: float, slack: float
) -> str | None:
    """Returns what is wrong with the first bad one of (text, start, end)."""
    last = 0.0
    for text, start, end in spans:
        if not 0 <= start <= end <= seconds + slack:
            return f"{text!r} from {start:.2f} to {end:.2f} s, in a clip of {seconds:.2f} s"
        if start < last - slack:
            return f"{text!r} starts at {start:.2f} s, before the previous one ends"
        last = end
    return None
