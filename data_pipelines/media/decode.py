"""Decodes whole video files, frames and sound, by PyAV (no system ffmpeg)."""

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator

import av.container
import av.error
import numpy as np

from data_pipelines.common.errors import BadClip
from data_pipelines.common.files import require_file
from data_pipelines.media import video
from data_pipelines.media.containers import open_media
from data_pipelines.media.sound import decode_chunks


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
        raise BadClip(f"cannot be decoded ({e.strerror})") from e


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
        frames = [reader.to_rgb(frame) for _, frame in reader.frames()]
    if not frames:
        raise BadClip("no frames")
    samples, rate = decode_sound(source, reader.origin)
    return DecodedClip(frames=np.stack(frames), fps=reader.fps, audio=samples, audio_rate=rate)


def decode_sound(
    source: str | os.PathLike | io.BytesIO, start: float, end: float | None = None
) -> tuple[np.ndarray, int]:
    """Decodes the sound of a video between two times.

    Sound before the start is cut and sound that begins later is padded, by the stream's time
    stamps: in .mpg files muxed elsewhere video and audio are 11 ms apart, a quarter of a frame.

    Args:
      source: A file, or its bytes.
      start: Seconds on the file's own clock.
      end: Seconds on the file's own clock; None: the end of the file.

    Returns:
      float32 [S], mono, in [-1, 1], and the rate in Hz; an empty array and 0 without sound.

    Raises:
      UserError: There is no such file.
      BadClip: The sound is damaged, or not finite.
    """
    with open_video(source) as container:
        if not container.streams.audio:
            return np.zeros(0, np.float32), 0
        stream = video.select_stream(container.streams.audio)
        if stream is None or stream.codec_context is None:
            raise BadClip("sound in an unknown format")
        chunks = list(decode_chunks(container, start, end))
        rate = stream.codec_context.sample_rate  # Not final before the first chunk is decoded.
    first = chunks[0][0] if chunks else 0.0
    samples = np.concatenate([np.zeros(0, np.float32), *(chunk for _, chunk in chunks)])
    if not np.isfinite(samples).all():
        raise BadClip("sound with samples that are not finite")
    shift = round((start - first) * rate)  # Samples before the start.
    samples = samples[shift:] if shift >= 0 else np.pad(samples, (-shift, 0))
    return samples if end is None else samples[: round((end - start) * rate)], rate
