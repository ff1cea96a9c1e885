"""Pictures and clips in and out of files: OpenCV and PyAV (no system ffmpeg)."""

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator

import av
import av.container
import av.error
import cv2
import numpy as np

import data_pipelines
from data_pipelines import video
from data_pipelines.errors import BadClip, UserError
from data_pipelines.files import existing
from data_pipelines.quiet import silenced_stderr
from data_pipelines.sound import decoded, fit_length, read_audio, resample, to_mono_float
from data_pipelines.writer import write_video

__all__ = [  # The whole of what reads and writes media, wherever it lies.
    "Clip",
    "decode_clip",
    "decode_image",
    "decode_jpeg",
    "decode_sound",
    "encode_jpeg",
    "encode_png",
    "fit_length",
    "opened",
    "read_audio",
    "read_image",
    "resample",
    "to_mono_float",
    "write_video",
]

# OpenCV's own words on a damaged picture would come before ours.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


_PICTURE = "give a PNG or JPEG file that opens in a viewer."
_LARGEST_PICTURE = 1 << 28  # Bytes of a file; a PNG of 50 million pixels takes 150 million.


@dataclasses.dataclass(frozen=True)
class Clip:
    """A decoded video; its sound starts with its first frame."""

    frames: np.ndarray  # uint8 [T, H, W, 3], RGB.
    fps: float
    audio: np.ndarray  # float32 [S], mono, in [-1, 1]; empty where the video has no sound.
    audio_rate: int  # Hz; 0 where the video has no sound.


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Any picture file -> uint8 [H, W, 3] RGB, upright, transparency on white.

    Raises:
      UserError: there is no such file, or it is not a whole picture.
    """
    file = existing(path, "image")
    if (size := file.stat().st_size) > _LARGEST_PICTURE:
        raise UserError(f"The file {path} has {size} bytes, more than any portrait; {_PICTURE}")
    return decode_image(file.read_bytes(), path)


def decode_image(
    data: bytes, name: str | os.PathLike, most_pixels: int | None = None
) -> np.ndarray:
    """The bytes of any picture file -> uint8 [H, W, 3] RGB, upright, transparency on white.

    name: of the file, for the sentences. most_pixels: of a picture from somebody whom one does not
    know; a small file may decode to gigabytes.

    Raises:
      UserError: it is not a whole picture, or has more pixels.
    """
    if most_pixels is not None:
        _check_size(data, name, most_pixels)
    # The bytes of a JPEG's scan never hold an end marker, so one has to follow the last scan.
    half_jpeg = data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if half_jpeg or (data[:4] == b"\x89PNG" and b"IEND" not in data):
        raise UserError(f"The image {name} breaks off in the middle; {_PICTURE}")
    encoded = np.frombuffer(data, np.uint8)
    try:
        with silenced_stderr():  # libpng and libjpeg have a word on what is damaged.
            image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB) if data else None
            layers = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error as error:  # More pixels than it takes, or numbers that are none.
        most = f"{int(data_pipelines.MOST_PIXELS) / 1e6:.0f} million pixels"
        raise UserError(
            f"The image {name} is damaged, or has more than {most}; {_PICTURE}"
        ) from error
    if image is None or layers is None:
        raise UserError(f"The file {name} is not an image that can be read; {_PICTURE}")
    if layers.ndim == 3 and layers.shape[2] == 4:
        layers = layers / np.float32(65535 if layers.dtype == np.uint16 else 255)
        colour, alpha = layers[..., 2::-1], layers[..., 3:]
        image = np.rint(255 * (colour * alpha + 1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(image)


def _check_size(data: bytes, name: str | os.PathLike, most: int) -> None:
    """By the file's head alone, in those formats whose head OpenCV reads in the same way."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "BMP")) as picture:
            width, height = picture.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"The file {name} is not a JPEG, PNG, WebP or BMP picture; {_PICTURE}"
        ) from error
    if width * height > most:
        raise UserError(
            f"The image {name} has {width}x{height} pixels, more than the {most / 1e6:g} million that are"
            " taken; make it smaller."
        )


@contextlib.contextmanager
def opened(source: str | os.PathLike | io.BytesIO) -> Iterator[av.container.InputContainer]:
    """A video file, or its bytes, to be decoded.

    Raises:
      UserError: there is no such file.
      BadClip: it is not a video, or FFmpeg fails at any part of it that is decoded meanwhile.
    """
    if isinstance(source, io.BytesIO):
        source.seek(0)
    else:  # A relative path with a colon would be an address.
        source = str(existing(source, "video").absolute())
    try:
        # Names in other alphabets' encodings are no damage.
        with av.open(source, "r", metadata_errors="replace") as container:
            yield container
    except av.error.FFmpegError as e:
        raise BadClip(f"cannot be decoded ({e.strerror})") from e


def decode_clip(source: str | os.PathLike | io.BytesIO) -> Clip:
    """A short video file, or its bytes -> all its frames and its sound, as decode_sound has it.

    Raises:
      UserError: there is no such file.
      BadClip: it is not a video, or any part of it is damaged.
    """
    with opened(source) as container:
        pictures = video.Video(container)
        frames = [pictures.rgb(frame) for _, frame in pictures.pictures()]
    if not frames:
        raise BadClip("no frames")
    samples, rate = decode_sound(source, pictures.origin)
    return Clip(frames=np.stack(frames), fps=pictures.fps, audio=samples, audio_rate=rate)


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
    with opened(source) as container:
        if not container.streams.audio:
            return np.zeros(0, np.float32), 0
        stream = video.chosen(container.streams.audio)
        if stream is None or stream.codec_context is None:
            raise BadClip("sound in a format that nobody knows")
        parts = list(decoded(container, start, end))
        rate = stream.codec_context.sample_rate  # Before the first part, it may be another.
    first = parts[0][0] if parts else 0.0
    samples = np.concatenate([np.zeros(0, np.float32), *(part for _, part in parts)])
    if not np.isfinite(samples).all():
        raise BadClip("sound with samples that are not finite")
    shift = round((start - first) * rate)  # Samples before the start.
    samples = samples[shift:] if shift >= 0 else np.pad(samples, (-shift, 0))
    return samples if end is None else samples[: round((end - start) * rate)], rate


def encode_jpeg(frame: np.ndarray) -> bytes:
    """uint8 [H, W, 3] RGB -> JPEG bytes, quality 95, 4:4:4, which keeps lips and teeth sharp."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 95]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def decode_jpeg(data: bytes) -> np.ndarray:
    """JPEG bytes -> uint8 [H, W, 3] RGB."""
    frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if frame is None:
        raise ValueError(f"{len(data)} bytes that are not a JPEG")
    return frame


def encode_png(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] RGB -> PNG bytes."""
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
