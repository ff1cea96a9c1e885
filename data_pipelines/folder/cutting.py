"""Cuts a long video at its pauses, found by the level of its sound.

All times here are video frames. A frame is quiet where its level is less than 40 % of the way from
the noise to the speech, in dB, and 10 dB below the speech. The noise's level is the one that 95 % of
the frames exceed; the speech's the one that 10 % of those well above the noise exceed.
"""

import dataclasses
import math

import numpy as np

SILENT = -70.0  # dB of full scale; anything quieter counts as silence.
_FAINTEST_SPEECH = -60.0  # dB.
_WELL_ABOVE_NOISE = 10.0  # dB.
_QUIET_SHARE = 0.4  # Of the way from noise to speech; and at least so far below the speech:
_BELOW_SPEECH = 10.0  # dB.

_PAUSE = 0.2  # Seconds; a shorter one is the closure of a consonant.
_SHORTEST_SPEECH = 0.1  # Seconds; a shorter sound is a click.
_MARGIN = 0.3  # Seconds of silence that a clip has at its ends.
_LONG_PAUSE = 1.0  # Seconds; a longer pause is in no clip but for the margins.


@dataclasses.dataclass(frozen=True)
class Segment:
    """A range of a video's frames that becomes a clip.

    Attributes:
      start: The segment's first frame.
      end: The frame after its last.
      ends_in_speech: Whether there was no pause, so that it ends in the middle of speech.
    """

    start: int
    end: int
    ends_in_speech: bool = False


def speech_intervals(levels: np.ndarray, fps: float) -> np.ndarray:
    """Detects speech by the level of the sound.

    Args:
      levels: [T], dB of full scale, one for each video frame.
      fps: Frame rate in frames/s.

    Returns:
      Intervals of speech, int [N, 2]: the first frame and the one after the last.
    """
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
    pauses = starts[1:] - ends[:-1] >= _PAUSE * fps
    starts, ends = starts[np.r_[True, pauses]], ends[np.r_[pauses, True]]
    speech = ends - starts >= _SHORTEST_SPEECH * fps
    return np.stack([starts[speech], ends[speech]], axis=1)


def cut_at_pauses(
    levels: np.ndarray, fps: float, min_seconds: float, max_seconds: float
) -> list[Segment]:
    """Cuts a video into segments of speech.

    They do not overlap and have every interval of speech, each whole in one of them; only where
    more than max_seconds have no pause with min_seconds on both of its sides is speech cut, at its
    quietest point. Longer pauses are preferred. A pause of a second or more is left out, unless too
    little for a segment would remain on one of its sides.

    Args:
      levels: [T], dB of full scale, one for each video frame.
      fps: Frame rate in frames/s.
      min_seconds: Shortest length of a segment.
      max_seconds: Longest length of a segment; at least twice min_seconds.

    Returns:
      The segments in order; none of a sound shorter than min_seconds or without speech.
    """
    shortest, longest = math.ceil(min_seconds * fps), math.floor(max_seconds * fps)
    intervals = speech_intervals(levels, fps)
    margin = round(_MARGIN * fps)
    # Bisected until short enough; each: a range of frames, of `shortest` or more, and its speech.
    pending = [(0, len(levels), intervals)] if len(intervals) and len(levels) >= shortest else []
    segments, cuts_in_speech = [], set()
    while pending:
        lo, hi, speech = pending.pop()
        start, end = int(speech[0, 0]), int(speech[-1, 1])
        cut, pause = _best_pause(speech, lo + shortest, hi - shortest)
        with_margins = min(hi, end + margin) - max(lo, start - margin)
        if not pause or (with_margins <= longest and pause < _LONG_PAUSE * fps):
            if end - start <= longest:
                around = min(margin, (longest - (end - start)) // 2)
                around = max(around, math.ceil((shortest - (end - start)) / 2))  # Never too short.
                first, last = max(lo, start - around), min(hi, end + around)
                last = min(hi, max(last, first + shortest))
                first = max(lo, min(first, last - shortest))
                segments.append(Segment(first, last, last in cuts_in_speech))
                continue
            earliest, latest = start + longest // 2, start + longest
            cut = _quietest(levels, max(lo + shortest, earliest), min(hi - shortest, latest))
            cuts_in_speech.add(cut)
        pending.append((lo, cut, np.minimum(speech[speech[:, 0] < cut], cut)))
        pending.append((cut, hi, np.maximum(speech[speech[:, 1] > cut], cut)))
    return sorted(segments, key=lambda segment: segment.start)


def _best_pause(speech: np.ndarray, lo: int, hi: int) -> tuple[int, int]:
    """Returns middle and length of the longest pause whose middle is in [lo, hi]; length 0: none."""
    starts, ends = speech[:-1, 1], speech[1:, 0]
    middles, lengths = (starts + ends) // 2, ends - starts
    lengths = np.where((lo <= middles) & (middles <= hi), lengths, 0)
    if not lengths.any():
        return 0, 0
    off_centre = np.abs(2 * middles - lo - hi)
    best = np.lexsort((off_centre, -lengths))[0]
    return int(middles[best]), int(lengths[best])


def _quietest(levels: np.ndarray, lo: int, hi: int) -> int:
    """Returns the frame in [lo, hi] that is, with the one before, least loud; the last of equals."""
    loudest = np.maximum(levels[lo - 1 : hi], levels[lo : hi + 1])
    return hi - int(np.argmin(loudest[::-1]))
