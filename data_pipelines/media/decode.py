"""Decodes whole video files, frames and sound, by PyAV (no system ffmpeg)."""

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator
from typing import NamedTuple

import av.container
import av.error
import numpy as np

from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.common.files import require_file
from data_pipelines.media import video
from data_pipelines.media.containers import failure_reason, open_media
from data_pipelines.media.sound import check_sample_rate
from data_pipelines.media.sound_track import SoundLosses, SoundTrack

_MAX_MISSING = 0.5  # Seconds of video, of those that the file's header declares.
# Share of packets of sound that do not decode: a gap that a recorder left is silence, but what is
# damaged was speech, of which a face's movements would be learned to be silent.
_MAX_LOST = 0.05


@dataclasses.dataclass(frozen=True)
class DecodedClip:
    """A decoded video; its sound starts with its first frame.

    Attributes:
      frames: uint8 [T, H, W, 3], RGB.
      fps: Mean frames per second.
      audio: float32 [S], mono, in [-1, 1]; empty if the video has no sound.
      audio_rate: Sampling rate in Hz; 0 if the video has no sound.
    """

    frames: np.ndarray
    fps: float
    audio: np.ndarray
    audio_rate: int


class DecodedSound(NamedTuple):
    """The sound of a video.

    Attributes:
      samples: float32 [S], mono, in [-1, 1].
      rate: Sampling rate in Hz; 0 without sound.
      losses: What was missing in it.
    """

    samples: np.ndarray
    rate: int
    losses: SoundLosses


@contextlib.contextmanager
def open_video(source: str | os.PathLike | io.BytesIO) -> Iterator[av.container.InputContainer]:
    """Opens a video for decoding within a `with` block.

    Args:
      source: A file, or its bytes.

    Yields:
      The open container.

    Raises:
      UserError: There is no such file.
      BadClip: It is not a video, or FFmpeg fails to decode any part of it within the block.
    """
    if not isinstance(source, io.BytesIO):
        require_file(source, "video")
    try:
        with open_media(source) as container:
            yield container
    except av.error.FFmpegError as e:
        raise BadClip(f"cannot be decoded: {failure_reason(e)}") from e


def decode_clip(source: str | os.PathLike | io.BytesIO) -> DecodedClip:
    """Decodes all frames and the sound of a short video.

    Args:
      source: A file, or its bytes.

    Returns:
      The clip; its sound as decode_sound gives it.

    Raises:
      UserError: There is no such file.
      BadClip: It is not a video, or any part of it is damaged.
    """
    with open_video(source) as container:
        reader = video.VideoReader(container)
        frames, end = [], 0.0
        for time, frame in reader.frames():
            frames.append(reader.to_rgb(frame))
            end = time + 1 / reader.fps
    if not frames:
        raise BadClip("no frames")
    if end < reader.seconds - _MAX_MISSING:
        raise BadClip(f"breaks off after {end:.1f} of {reader.seconds:.1f} s")
    samples, rate, _ = decode_sound(source, reader.origin)
    return DecodedClip(frames=np.stack(frames), fps=reader.fps, audio=samples, audio_rate=rate)


def open_sound(
    container: av.container.InputContainer, start: float, end: float | None = None
) -> SoundTrack:
    """Opens the sound of an open video.

    Args:
      container: The open file.
      start: Seconds on the file's own clock.
      end: Seconds on the file's own clock; None: the end of the file.

    Returns:
      Its track.

    Raises:
      BadClip: It has no sound that decodes.
    """
    if not container.streams.audio:
        raise BadClip("no sound")
    try:
        track = SoundTrack(container, start, end)
        check_sample_rate(track.rate, f"sound of {track.rate} Hz")
    except (LookupError, UserError) as e:
        raise BadClip(str(e)) from e
    return track


def decode_sound(
    source: str | os.PathLike | io.BytesIO, start: float, end: float | None = None
) -> DecodedSound:
    """Decodes the sound of a video between two times.

    Each part is at its own time, so that sound before the start is cut and sound that begins later
    is padded: in .mpg files muxed elsewhere video and audio are 11 ms apart, a quarter of a frame.

    Args:
      source: A file, or its bytes.
      start: Seconds on the file's own clock.
      end: Seconds on the file's own clock; None: the end of the file.

    Returns:
      The sound, empty if the file has none.

    Raises:
      UserError: There is no such file.
      BadClip: The sound cannot be decoded, or too little of it.
    """
    with open_video(source) as container:
        if not container.streams.audio:
            return DecodedSound(np.zeros(0, np.float32), 0, SoundLosses())
        track = open_sound(container, start, end)
        samples = np.concatenate([np.zeros(0, np.float32), *track])
    losses = track.losses
    if losses.lost > _MAX_LOST * losses.packets:
        raise BadClip(f"damaged sound: {losses.lost} of {losses.packets} packets do not decode")
    if losses.restarts:
        raise BadClip("its clock is set anew inside the file: cut it there")
    if not losses.timed and (losses.short or losses.lost):
        missing = f"{losses.short:.1f} s" if losses.short else f"{losses.lost} packets"
        raise BadClip(
            f"{missing} of sound are missing, and a file of its format does not tell where"
        )
    if end is not None:
        samples = samples[: round((end - start) * track.rate)]
    return DecodedSound(samples, track.rate, losses)
