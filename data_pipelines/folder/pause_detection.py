"""Measures the level of a video's sound at each frame, and cuts the video at its pauses."""

import dataclasses
import math
import os
import pathlib

import av
import numpy as np

from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.folder import cutting
from data_pipelines.folder.sources import Cut
from data_pipelines.media import decode, video

VERSION = 1  # Of find_cuts; a new one analyses every video again.
_LONGEST = 48 * 3600  # Seconds of a video; a later time stamp is damaged.


@dataclasses.dataclass(frozen=True)
class CutLimits:
    """What the cuts of a video depend on beside its content.

    Attributes:
      fps: Cuts are at multiples of 1/fps s.
      min_seconds: Shortest length of a clip.
      max_seconds: Longest length of a clip.
    """

    fps: int
    min_seconds: float
    max_seconds: float


@dataclasses.dataclass(frozen=True)
class VideoCuts:
    """The clips of one video.

    Attributes:
      cuts: Their times, in order.
      in_speech: Number of them that end in the middle of speech.
      unusable: Why there are none.
    """

    cuts: tuple[Cut, ...] = ()
    in_speech: int = 0
    unusable: str = ""


def find_cuts(path: pathlib.Path, limits: CutLimits) -> VideoCuts:
    """Cuts a video at its pauses, unless it is short enough for a clip.

    Args:
      path: The video.
      limits: Limits of the clips.

    Returns:
      Clips of the video, or why there are none.
    """
    try:
        seconds = _declared_seconds(path)
        if seconds is not None and seconds <= limits.max_seconds:
            return VideoCuts((Cut(),))
        levels = speech_levels(path, limits.fps)
    except (BadClip, UserError) as e:
        return VideoCuts(unusable=str(e))
    if len(levels) <= limits.max_seconds * limits.fps:
        return VideoCuts((Cut(),))
    segments = cutting.cut_at_pauses(levels, limits.fps, limits.min_seconds, limits.max_seconds)
    if not segments:
        return VideoCuts(unusable="no speech in it")
    cuts = tuple(Cut(s.start / limits.fps, s.end / limits.fps) for s in segments)
    return VideoCuts(cuts, sum(segment.ends_in_speech for segment in segments))


def speech_levels(path: str | os.PathLike, fps: int) -> np.ndarray:
    """Measures the level of a video's sound in each 1/fps s from its first frame on.

    The level is the power of the waveform's derivative, so that rumble and hum, which are not
    speech, count less by 6 dB an octave. Sound is placed by its time stamps, packet after packet,
    so that neither a gap in it nor hours of it matter.

    Args:
      path: The video.
      fps: Levels per second.

    Returns:
      Levels, float32 [T], in dB: 0 dB is the square of a full-scale 1 kHz tone, -inf no sound. T
      covers the time that has both picture and sound.

    Raises:
      BadClip: The file cannot be read, has no picture or no sound, or its times are damaged.
    """
    totals = np.zeros((2, 1024))  # Samples of each frame: count, sum of the derivative's squares.
    measured, done = 0, 0  # Frames, samples.
    start, end = _picture_times(path)
    before = np.zeros(1)  # The last sample, for the derivative at the next one.
    with decode.open_video(path) as container:
        track = decode.open_sound(container, start)
        for piece in track:
            slope = np.diff(piece, prepend=before) * track.rate / (2 * math.pi * 1000)
            before = piece[-1:]
            at = np.arange(done, done + len(piece)) * fps // track.rate
            done += len(piece)
            if at[-1] >= _LONGEST * fps:
                raise BadClip(f"sound at {at[-1] / fps:.0f} s: its times are damaged")
            while at[-1] >= totals.shape[1]:
                totals = np.pad(totals, ((0, 0), (0, totals.shape[1])))
            sums = np.array([np.bincount(at - at[0]), np.bincount(at - at[0], slope**2)])
            totals[:, at[0] : at[-1] + 1] += sums
            measured = int(at[-1]) + 1
    count, power = totals[:, : min(measured, max(0, math.floor((end - start) * fps + 0.5)))]
    with np.errstate(divide="ignore"):
        return (10 * np.log10(power / np.maximum(count, 1))).astype(np.float32)


def _declared_seconds(path: pathlib.Path) -> float | None:
    # By the file's header, if it says so; reading it finds out that picture or sound is missing.
    with decode.open_video(path) as container:
        pictures, _ = video.VideoReader(container), decode.open_sound(container, 0.0)
        whole = None if container.duration is None else container.duration / av.time_base
        return pictures.seconds or whole


def _picture_times(path: str | os.PathLike) -> tuple[float, float]:
    """Returns when the pictures begin and end, in seconds on the file's own clock."""
    end = 0.0
    with decode.open_video(path) as container:
        start = video.VideoReader(container).origin
        for packet in container.demux(video.picture_stream(container)):
            if packet.pts is not None and packet.time_base:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return start, end
