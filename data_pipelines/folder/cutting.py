"""Where a long video is cut: in its pauses, by the level of its sound.

All times here are frames of the form's grid. A frame is quiet where its level is less than 40 % of
the way from the noise to the speech, in dB, and 10 dB below the speech. The noise's level is the one
that 95 % of the frames exceed; the speech's the one that 10 % of those well above the noise exceed.
"""

import dataclasses
import math

import numpy as np

SILENT = -70.0  # dB of full scale; what is quieter is silence to anyone.
_FAINTEST_SPEECH = -60.0  # dB.
_WELL_ABOVE_NOISE = 10.0  # dB.
_QUIET_SHARE = 0.4  # Of the way from noise to speech; and at least so far below the speech:
_BELOW_SPEECH = 10.0  # dB.

_PAUSE = 0.2  # Seconds; a shorter one is the closure of a consonant.
_SHORTEST_SPEECH = 0.1  # Seconds; a shorter sound is a click.
_MARGIN = 0.3  # Seconds of silence that a clip keeps at its ends.
_LEFT_OUT = 1.0  # Seconds; a longer pause is in no clip but for the margins.


@dataclasses.dataclass(frozen=True)
class Segment:
    """Frames `first` to `last` (the one after the end) of a video."""

    first: int
    last: int
    in_speech: bool = False  # It ends in the middle of speech, for want of a pause.


def spoken(levels: np.ndarray, fps: float) -> np.ndarray:
    """Levels [T] in dB of full scale -> the stretches of speech, int [N, 2], first and after last."""
    if not len(levels):
        return np.zeros((0, 2), int)
    levels = np.maximum(levels, SILENT)
    noise = np.percentile(levels, 5)
    clear = levels[levels > noise + _WELL_ABOVE_NOISE]
    speech = np.percentile(clear, 90) if len(clear) else np.percentile(levels, 95)
    if speech < _FAINTEST_SPEECH:
        return np.zeros((0, 2), int)
    quiet = min(noise + _QUIET_SHARE * (speech - noise), speech - _BELOW_SPEECH)
    edges = np.flatnonzero(np.diff(np.pad(levels > quiet, 1).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    real = starts[1:] - ends[:-1] >= _PAUSE * fps
    starts, ends = starts[np.r_[True, real]], ends[np.r_[real, True]]
    kept = ends - starts >= _SHORTEST_SPEECH * fps
    return np.stack([starts[kept], ends[kept]], axis=1)


def parts(levels: np.ndarray, fps: float, min_seconds: float, max_seconds: float) -> list[Segment]:
    """Levels [T], a frame each -> the clips, in order.

    They do not overlap, are of min_seconds to max_seconds, and hold every stretch of speech, each
    whole in one of them; only where more than max_seconds have no pause with min_seconds on both of
    its sides is speech cut, at its quietest place. Longer pauses are preferred. A pause of a second
    or more is left out, unless too little for a clip would remain on one of its sides. Nothing comes
    of a sound shorter than min_seconds; max_seconds has to be twice min_seconds or more.
    """
    shortest, longest = math.ceil(min_seconds * fps), math.floor(max_seconds * fps)
    stretches = spoken(levels, fps)
    margin = round(_MARGIN * fps)
    waiting = [(0, len(levels), stretches)] if len(stretches) and len(levels) >= shortest else []
    result, cuts_in_speech = [], set()
    while waiting:  # Each: a part of the time, of `shortest` or more, and what is said in it.
        lo, hi, said = waiting.pop()
        start, end = int(said[0, 0]), int(said[-1, 1])
        cut, pause = _best_pause(said, lo + shortest, hi - shortest)
        with_margins = min(hi, end + margin) - max(lo, start - margin)
        if not pause or (with_margins <= longest and pause < _LEFT_OUT * fps):
            if end - start <= longest:
                around = min(margin, (longest - (end - start)) // 2)
                around = max(around, math.ceil((shortest - (end - start)) / 2))  # Never too short.
                first, last = max(lo, start - around), min(hi, end + around)
                last = min(hi, max(last, first + shortest))
                first = max(lo, min(first, last - shortest))
                result.append(Segment(first, last, last in cuts_in_speech))
                continue
            earliest, latest = start + longest // 2, start + longest
            cut = _quietest(levels, max(lo + shortest, earliest), min(hi - shortest, latest))
            cuts_in_speech.add(cut)
        waiting.append((lo, cut, np.minimum(said[said[:, 0] < cut], cut)))
        waiting.append((cut, hi, np.maximum(said[said[:, 1] > cut], cut)))
    return sorted(result, key=lambda part: part.first)


def _best_pause(said: np.ndarray, lo: int, hi: int) -> tuple[int, int]:
    """The middle and the length of the longest pause whose middle is in [lo, hi]; length 0: none."""
    starts, ends = said[:-1, 1], said[1:, 0]
    middles, lengths = (starts + ends) // 2, ends - starts
    lengths = np.where((lo <= middles) & (middles <= hi), lengths, 0)
    if not lengths.any():
        return 0, 0
    off_centre = np.abs(2 * middles - lo - hi)
    best = np.lexsort((off_centre, -lengths))[0]
    return int(middles[best]), int(lengths[best])


def _quietest(levels: np.ndarray, lo: int, hi: int) -> int:
    """The frame in [lo, hi] before which it is least loud on both sides; the last of equal ones."""
    loudest = np.maximum(levels[lo - 1 : hi], levels[lo : hi + 1])
    return hi - int(np.argmin(loudest[::-1]))
