"""Video files decoded whole, pictures and sound, by PyAV (no system ffmpeg)."""

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator

import av
import av.container
import av.error
import numpy as np

from data_pipelines.common.errors import BadClip
from data_pipelines.common.files import require_file
from data_pipelines.media import video
from data_pipelines.media.sound import decode_chunks


@dataclasses.dataclass(frozen=True)
class DecodedClip:
    """A decoded video; its sound starts with its first frame."""

    frames: np.ndarray  # uint8 [T, H, W, 3], RGB.
    fps: float
    audio: np.ndarray  # float32 [S], mono, in [-1, 1]; empty where the video has no sound.
    audio_rate: int  # Hz; 0 where the video has no sound.


@contextlib.contextmanager
def open_video(source: str | os.PathLike | io.BytesIO) -> Iterator[av.container.InputContainer]:
    """A video file, or its bytes, to be decoded.

    Raises:
      UserError: there is no such file.
      BadClip: it is not a video, or FFmpeg fails at any part of it that is decoded meanwhile.
    """
    if isinstance(source, io.BytesIO):
        source.seek(0)
    else:  # A relative path with a colon would be an address.
        source = str(require_file(source, "video").absolute())
    try:
        # Names in other alphabets' encodings are no damage.
        with av.open(source, "r", metadata_errors="replace") as container:
            yield container
    except av.error.FFmpegError as e:
        raise BadClip(f"cannot be decoded ({e.strerror})") from e


def decode_clip(source: str | os.PathLike | io.BytesIO) -> DecodedClip:
    """A short video file, or its bytes -> all its frames and its sound, as decode_sound has it.

    Raises:
      UserError: there is no such file.
      BadClip: it is not a video, or any part of it is damaged.
    """
    with open_video(source) as container:
        pictures = video.VideoReader(container)
        frames = [pictures.rgb(frame) for _, frame in pictures.pictures()]
    if not frames:
        raise BadClip("no frames")
    samples, rate = decode_sound(source, pictures.origin)
    return DecodedClip(frames=np.stack(frames), fps=pictures.fps, audio=samples, audio_rate=rate)


def decode_sound(
    source: str | os.PathLike | io.BytesIO, start: float, end: float | None = None
) -> tuple[np.ndarray, int]:
    """The sound of a video from `start` to `end`, in the file's own time -> [S], its rate in Hz.

    Mono float32 in [-1, 1]. Sound before the start is cut, and sound that starts later is padded,
    by the times of the stream: in .mpg files muxed elsewhere picture and sound are 11 ms apart, a
    quarter of a frame. Without sound: none, and rate 0.

    Raises:
      BadClip: it is damaged, or not finite.
    """
    with open_video(source) as container:
        if not container.streams.audio:
            return np.zeros(0, np.float32), 0
        stream = video.select_stream(container.streams.audio)
        if stream is None or stream.codec_context is None:
            raise BadClip("sound in a format that nobody knows")
        parts = list(decode_chunks(container, start, end))
        rate = stream.codec_context.sample_rate  # Before the first part, it may be another.
    first = parts[0][0] if parts else 0.0
    samples = np.concatenate([np.zeros(0, np.float32), *(part for _, part in parts)])
    if not np.isfinite(samples).all():
        raise BadClip("sound with samples that are not finite")
    shift = round((start - first) * rate)  # Samples before the start.
    samples = samples[shift:] if shift >= 0 else np.pad(samples, (-shift, 0))
    return samples if end is None else samples[: round((end - start) * rate)], rate
