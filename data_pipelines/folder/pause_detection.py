"""How loud a video is from frame to frame, and so where it is cut."""

import dataclasses
import math
import os
import pathlib
from collections.abc import Iterable

import av
import av.container
import av.error
import numpy as np

from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.folder import cutting
from data_pipelines.folder.sources import Cut
from data_pipelines.media import decode, sound, video

VERSION = 1  # Of what find_cuts does; a new one listens to every video again.
_LONGEST = 48 * 3600  # Seconds of a video; sound beyond is at a damaged time.


@dataclasses.dataclass(frozen=True)
class Lengths:
    """What the cuts of a video depend on beside itself."""

    fps: int  # They lie on its grid.
    min_seconds: float
    max_seconds: float


@dataclasses.dataclass(frozen=True)
class Cuts:
    """What was found out about a video."""

    cuts: tuple[Cut, ...] = ()
    in_speech: int = 0  # How many of them end in the middle of speech.
    unusable: str = ""  # Why there are none.


def find_cuts(path: pathlib.Path, lengths: Lengths) -> Cuts:
    """A video that is no longer than a clip may be is one, whole; others are cut in their pauses."""
    try:
        seconds = _told_length(path)
        if seconds is not None and seconds <= lengths.max_seconds:
            return Cuts((Cut(),))
        levels = listen(path, lengths.fps)
    except (BadClip, UserError) as e:
        return Cuts(unusable=str(e))
    if len(levels) <= lengths.max_seconds * lengths.fps:
        return Cuts((Cut(),))
    parts = cutting.parts(levels, lengths.fps, lengths.min_seconds, lengths.max_seconds)
    if not parts:
        return Cuts(unusable="no speech in it")
    cuts = tuple(Cut(part.first / lengths.fps, part.last / lengths.fps) for part in parts)
    return Cuts(cuts, sum(part.in_speech for part in parts))


def listen(path: str | os.PathLike, fps: int) -> np.ndarray:
    """The level of a video's sound in each 1/fps s from its first frame on, float32 [T], in dB.

    T is how long both picture and sound last. The level is the power of the sound's slope, 0 dB for
    the square of a full-scale tone of 1 kHz: rumble and hum, which speech has to be told from,
    count less by 6 dB an octave. -inf where there is no sound. Sound is placed by its times, packet
    after packet, so that neither a hole in it nor hours of it matter.

    Raises:
      BadClip: it cannot be read, there is no picture or no sound, or its times are damaged.
    """
    totals = np.zeros((2, 1024))  # Samples of each frame: count, sum of the slope's squares.
    heard, end = 0, 0.0
    with decode.open_video(path) as container:
        start, audio = video.VideoReader(container).origin, _sound(container)
        before = np.zeros(1)  # The last sample, of which the next one's slope is taken.
        for packet in container.demux(*container.streams.video, audio):
            if packet.stream_index != audio.index:
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                continue
            for frame in _decoded(packet):
                samples, rate = _mono(frame), frame.sample_rate
                slope = np.diff(samples, prepend=before) * rate / (2 * math.pi * 1000)
                before = samples[-1:]
                first = round(((frame.time or 0.0) - start) * rate)
                at = np.arange(first, first + len(samples)) * fps // rate
                slope, at = slope[at >= 0], at[at >= 0]
                if not len(at):
                    continue
                if at[-1] >= _LONGEST * fps:
                    raise BadClip(f"sound at {at[-1] / fps:.0f} s: its times are damaged")
                while at[-1] >= totals.shape[1]:
                    totals = np.pad(totals, ((0, 0), (0, totals.shape[1])))
                sums = np.array([np.bincount(at - at[0]), np.bincount(at - at[0], slope**2)])
                totals[:, at[0] : at[-1] + 1] += sums
                heard = max(heard, int(at[-1]) + 1)
    count, power = totals[:, : min(heard, max(0, math.floor((end - start) * fps + 0.5)))]
    with np.errstate(divide="ignore"):
        return (10 * np.log10(power / np.maximum(count, 1))).astype(np.float32)


def _told_length(path: pathlib.Path) -> float | None:
    """Seconds, where the file says how many; raises BadClip where picture or sound is missing."""
    with decode.open_video(path) as container:
        pictures, _ = video.VideoReader(container), _sound(container)
        whole = None if container.duration is None else container.duration / av.time_base
        return pictures.seconds or whole


def _sound(container: av.container.InputContainer) -> av.AudioStream:
    stream = video.select_stream(container.streams.audio)
    if stream is None:
        raise BadClip("no sound")
    return stream


def _decoded(packet: av.Packet) -> Iterable[av.AudioFrame]:
    """The sound in a packet; none of a damaged one, which is the fault of one clip alone."""
    try:
        return [frame for frame in packet.decode() if isinstance(frame, av.AudioFrame)]
    except av.error.InvalidDataError:
        return []


def _mono(frame: av.AudioFrame) -> np.ndarray:
    """A frame's samples, float64 [S]; those that are not finite are silence."""
    samples = frame.to_ndarray()  # Planar [channels, n], packed [1, n * channels].
    samples = samples if frame.format.is_planar else samples.reshape(frame.samples, -1).T
    return np.nan_to_num(sound.to_mono_float(samples.T).astype(np.float64))
