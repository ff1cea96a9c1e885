"""Pictures, sound and video in and out of files: OpenCV, PyAV (no system ffmpeg) and soxr."""

import contextlib
import dataclasses
import fractions
import io
import os
import pathlib
import uuid
from collections.abc import Iterator

import av
import av.container
import av.error
import cv2
import numpy as np
import soxr
from etils import epath

from data_pipelines import video
from data_pipelines.errors import BadClip, UserError

# Rates that AAC knows; sound at any other rate (25 and 50 kHz) is written at 48 kHz.
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_BT601 = 6  # SMPTE 170M, in the numbering of H.273: what RGB is converted with below.

# OpenCV's own words on a damaged PNG would come before ours.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


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
    data = _existing_file(path, "image").read_bytes()
    cure = "give a PNG or JPEG file that opens in a viewer."
    # The bytes of a JPEG's scan never hold an end marker, so one has to follow the last scan.
    half_jpeg = data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if half_jpeg or (data[:4] == b"\x89PNG" and b"IEND" not in data):
        raise UserError(f"The image {path} breaks off in the middle; {cure}")
    encoded = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB) if data else None
        layers = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error:  # More pixels than OpenCV's limit, among others.
        image = layers = None
    if image is None or layers is None:
        raise UserError(f"The file {path} is not an image that can be read; {cure}")
    if layers.ndim == 3 and layers.shape[2] == 4:
        layers = layers / np.float32(65535 if layers.dtype == np.uint16 else 255)
        colour, alpha = layers[..., 2::-1], layers[..., 3:]
        image = np.rint(255 * (colour * alpha + 1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(image)


def read_audio(path: str | os.PathLike, rate: int) -> np.ndarray:
    """The sound of any sound or video file -> mono float32 [S] in [-1, 1] at `rate` Hz.

    Raises:
      UserError: there is no such file, or it holds no sound that can be decoded.
    """
    _existing_file(path, "audio")
    cure = "give a sound file that plays, e.g. a WAV."
    try:
        with av.open(os.fspath(path)) as container:
            if not container.streams.audio:
                raise UserError(f"The file {path} has no sound; {cure}")
            samples, own_rate, _ = _decode_audio(container)
    except av.error.FFmpegError as e:
        raise UserError(f"The sound of {path} cannot be decoded ({e.strerror}); {cure}") from e
    if not samples.size:
        raise UserError(f"The file {path} has no sound in it (0 samples); {cure}")
    if not np.isfinite(samples).all():
        raise UserError(f"The sound of {path} has samples that are not finite; {cure}")
    return resample(samples, own_rate, rate)


def to_mono_float(samples: np.ndarray) -> np.ndarray:
    """Samples [S] or [S, channels], integer PCM or float -> mono float32 [S] in [-1, 1]."""
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2):
        raise ValueError(f"audio of shape {samples.shape} is neither [S] nor [S, channels]")
    if samples.dtype == np.uint8:  # Unsigned PCM, whose silence is 128.
        samples = (samples.astype(np.float32) - 128) / 128
    elif np.issubdtype(samples.dtype, np.signedinteger):
        samples = samples / (float(np.iinfo(samples.dtype).max) + 1)
    elif not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(f"audio of dtype {samples.dtype} is neither signed PCM, uint8 nor float")
    if samples.ndim == 2:
        samples = samples.mean(axis=1, dtype=np.float64)
    return np.clip(samples, -1, 1).astype(np.float32)


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Mono float32 [S] in [-1, 1] from one rate to another, band-limited (soxr HQ).

    Gives ceil(S * new_rate / rate) samples, so that a part of a video frame stays one; soxr alone
    rounds, and may give none.
    """
    if rate != new_rate:
        length = -(-len(samples) * new_rate // rate)
        samples = np.clip(soxr.resample(samples, rate, new_rate, quality="HQ"), -1, 1)
        samples = fit_length(samples, length)
    return np.asarray(samples, np.float32)


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
        source = str(_existing_file(source, "video").absolute())
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
        samples, rate, first = _decode_audio(container, start, end)
    if not np.isfinite(samples).all():
        raise BadClip("sound with samples that are not finite")
    shift = round((start - first) * rate)  # Samples before the start.
    samples = samples[shift:] if shift >= 0 else np.pad(samples, (-shift, 0))
    return samples if end is None else samples[: round((end - start) * rate)], rate


def write_video(
    path: str | os.PathLike,
    frames: np.ndarray,
    fps: float,
    audio: np.ndarray | None = None,
    audio_rate: int = 0,
) -> None:
    """Frames uint8 [T, H, W, 3] and mono sound -> an .mp4 of exactly T frames (H.264, AAC).

    The sound is padded or cut to T / fps seconds. An odd height or width grows by one, repeating
    its last line, since 4:2:0 has no odd sizes. The file appears whole or not at all.

    Raises:
      UserError: the file cannot be written there.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or not len(frames) or frames.dtype != np.uint8:
        raise ValueError(f"frames {frames.dtype} {frames.shape} are not uint8 [T >= 1, H, W, 3]")
    target = epath.Path(path)
    if target.suffix.lower() != ".mp4":
        raise UserError(f"The output {target} is not an .mp4 file; give a name that ends in .mp4.")
    rate = fractions.Fraction(fps).limit_denominator(65535)
    encoded = io.BytesIO()
    with av.open(encoded, "w", format="mp4") as container:
        picture = _add_video(container, frames.shape, rate)
        sound = None
        if audio is not None:
            sound_rate = audio_rate if audio_rate in _AAC_RATES else 48000
            samples = resample(to_mono_float(audio), audio_rate, sound_rate)
            samples = fit_length(samples, round(len(frames) * sound_rate / rate))
            sound = container.add_stream("aac", rate=sound_rate, layout="mono", bit_rate=96_000)
        bottom, right = frames.shape[1] % 2, frames.shape[2] % 2
        for pixels in frames:
            pixels = np.pad(pixels, ((0, bottom), (0, right), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        if sound is not None:
            frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = sound_rate, 0
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    write_atomically(target, encoded.getvalue())


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


def fit_length(samples: np.ndarray, n: int) -> np.ndarray:
    """[S] -> [n], cut or padded with silence at the end."""
    return np.pad(samples[:n], (0, max(0, n - len(samples))))


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path is an address, such as gs://bucket/folder."""
    return "://" in os.fspath(path)


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Writes beside the target and renames, so that the file appears whole or not at all.

    Raises:
      UserError: the file cannot be written there.
    """
    target = epath.Path(path)
    part = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(target)
    except OSError as e:
        message = f"Cannot write {target} ({e.strerror}); give a path in a folder you can write to."
        raise UserError(message) from e
    finally:
        try:
            part.unlink(missing_ok=True)
        except OSError:  # The folder itself could not be made.
            pass


def _existing_file(path: str | os.PathLike, what: str) -> pathlib.Path:
    """The path, if a file can be read there."""
    file = pathlib.Path(path)
    try:
        if not file.exists():
            raise UserError(f"There is no {what} file {path}; check the path.")
        if file.is_dir():
            raise UserError(f"{path} is a folder, not an {what} file; name a file in it.")
        with file.open("rb"):
            return file
    except OSError as e:
        raise UserError(f"Cannot read {path} ({e.strerror}); check its permissions.") from e


def _decode_audio(
    container: av.container.InputContainer, begin: float = 0.0, end: float | None = None
) -> tuple[np.ndarray, int, float]:
    """The first or default sound -> mono float32 [S], its rate, the time of its first sample.

    What lies before `begin` or after `end`, in the file's own time, may be left out.
    """
    stream = video.chosen(container.streams.audio)
    assert stream is not None
    start, parts, seconds = None, [], 0.0
    for frame in video.decoded(container, stream, begin):
        start = frame.time if start is None else start
        if end is not None and frame.time is not None and frame.time > end:
            break
        seconds = float((frame.duration or 0) * (frame.time_base or 0))
        samples = frame.to_ndarray()  # Planar [channels, n], packed [1, n * channels].
        samples = samples if frame.format.is_planar else samples.reshape(frame.samples, -1).T
        parts.append(to_mono_float(samples.T))
    rate = stream.codec_context.sample_rate
    if seconds:  # A whole AAC frame is decoded where the file says that it ends inside one.
        parts[-1] = parts[-1][: round(seconds * rate)]
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return samples, rate, start or 0.0


def _add_video(
    container: av.container.OutputContainer, shape: tuple[int, ...], rate: fractions.Fraction
) -> av.VideoStream:
    """An H.264 stream for frames [T, H, W, 3] that every player shows in the right colours."""
    stream = container.add_stream("libx264", rate=rate, options={"crf": "17"})
    stream.height, stream.width = shape[1] + shape[1] % 2, shape[2] + shape[2] % 2
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT601
    context.color_range = 1  # Limited: 16 to 235.
    return stream
