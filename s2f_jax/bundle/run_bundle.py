"""Runs the bundle that this file lies in, with nothing but numpy and either jax or onnxruntime.

    python run_bundle.py --image=face.png --audio=speech.wav --output=talk.y4m [--runtime=onnx]

The image is a face cropped as the model was trained on (README.md), a PNG or uint8 [H, W, 3] in a
.npy file; the audio any PCM WAV. Frames go to a .npy file, uint8 [T, H, W, 3], or to a .y4m video,
which is marked as synthetic. ffmpeg adds the audio, and has to be told to mark the video again:

    ffmpeg -i talk.y4m -i speech.wav -metadata comment="Synthetic, AI-generated" talk.mp4

In Python, by the file beside this one that does the work:

    frames = bundle_runtime.Bundle(folder, runtime="jax")(still, audio, seed=0)
"""

import argparse
import math
import pathlib
import struct
import sys
import wave
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

# The file beside this one: an installed s2f_jax may be of another version.
from bundle_runtime import READ_ERRORS, RUNTIMES, Bundle, BundleError, check_image_shape


def read_image(path: str, height: int, width: int) -> np.ndarray:
    """Reads a crop.

    Args:
      path: A .npy file of uint8 [H, W, 3], or a PNG of 8 bits a channel.
      height: Pixels that a PNG must have.
      width: Pixels that a PNG must have.

    Returns:
      uint8 [H, W, 3].

    Raises:
      BundleError: The file cannot be read, or a PNG is of another kind or size.
    """
    try:
        if path.endswith(".npy"):
            return np.load(path, allow_pickle=False).astype(np.uint8, casting="safe")
        return _decode_png(pathlib.Path(path).read_bytes(), height, width)
    except READ_ERRORS as error:
        raise BundleError(
            f"the image {path} cannot be read ({error}): give an 8-bit, non-interlaced PNG or .npy"
        ) from error


def _decode_png(data: bytes, height: int, width: int) -> np.ndarray:
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("it is not a PNG")
    offset, compressed = 8, []
    while offset < len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind == b"IDAT":
            compressed.append(data[offset + 8 : offset + 8 + length])
        offset += 12 + length
    header = struct.unpack_from(">IIBBBBB", data, 16)
    png_width, png_height, bits, colour_type, _, _, interlaced = header
    check_image_shape((png_height, png_width, 3), (height, width, 3))
    channels = {0: 1, 2: 3, 4: 2, 6: 4}.get(colour_type, 0)
    if bits != 8 or interlaced or not channels:
        raise ValueError(f"{bits} bits, colour type {colour_type}, interlacing {interlaced}")
    # The size is bounded: a hostile file may decompress to any amount.
    size = height * (1 + width * channels)
    rows = zlib.decompressobj().decompress(b"".join(compressed), size)
    pixels = _undo_filters(np.frombuffer(rows, np.uint8).reshape(height, -1), channels)
    pixels = pixels.reshape(height, width, channels)
    if channels in (2, 4):  # Alpha is composited over white.
        alpha = pixels[..., -1:] / 255
        pixels = np.rint(pixels[..., :-1] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (height, width, 3)))


def _undo_filters(rows: np.ndarray, channels: int) -> np.ndarray:
    # Inverts PNG's filters: rows that begin with their filter's number -> bytes of the pixels.
    out = np.zeros((len(rows) + 1, rows.shape[1] - 1 + channels), np.uint8)
    for y, (filter_type, *line) in enumerate(rows.tolist(), 1):
        above, row = out[y - 1].tolist(), [0] * channels
        for i, value in enumerate(line):
            left, up, corner = row[i], above[i + channels], above[i]
            if filter_type == 4:  # Paeth: the neighbour nearest to their linear prediction.
                linear = left + up - corner
                prediction = min((left, up, corner), key=lambda near, p=linear: abs(p - near))
            else:
                prediction = (0, left, up, (left + up) // 2)[filter_type]
            row.append((value + prediction) % 256)
        out[y] = row
    return out[1:, channels:]


def read_audio(path: str, rate: int) -> np.ndarray:
    """Reads a WAV of integer samples.

    Args:
      path: The file.
      rate: Sampling rate of the result, Hz.

    Returns:
      Mono float32 [S] in [-1, 1].

    Raises:
      BundleError: The file cannot be read.
    """
    try:
        with wave.open(path, "rb") as file:
            channels, width, own_rate = file.getparams()[:3]
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise BundleError(f"the audio {path} cannot be read ({error}): give a PCM WAV") from error
    data = data[: len(data) // (width * channels) * width * channels]
    if width == 1:
        samples = np.frombuffer(data, np.uint8) / 128 - 1
    else:  # Any width as the upper bytes of 32 bits.
        words = np.zeros((len(data) // width, 4), np.uint8)
        words[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
        samples = words.view("<i4")[:, 0] / 2**31
    return resample(mix_channels(samples.reshape(-1, channels)), own_rate, rate)


def mix_channels(samples: np.ndarray) -> np.ndarray:
    """Mixes channels to one at the level of the loudest; one in opposite phase is inverted.

    Args:
      samples: [S, channels] in [-1, 1].

    Returns:
      [S].
    """
    if samples.shape[1] == 1 or not samples.size:
        return samples[:, 0]
    heard = samples - samples.mean(axis=0)  # A constant offset is no sound.
    powers = (heard**2).sum(axis=0)
    loudest = heard[:, powers.argmax()]
    opposite = heard.T @ loudest < -0.5 * np.sqrt(powers * powers.max())
    weights = np.where(opposite, -1, 1) / samples.shape[1]
    power = ((heard @ weights) ** 2).sum()
    gain = np.sqrt(powers.max() / power) if power else 1.0
    return np.clip(gain * (samples @ weights), -1, 1)


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Resamples audio, band-limited, by its spectrum.

    Args:
      samples: [S] in [-1, 1].
      rate: Sampling rate in Hz.
      new_rate: New sampling rate in Hz.

    Returns:
      float32 [ceil(S * new_rate / rate)] in [-1, 1].
    """
    if rate == new_rate or not samples.size:
        return samples.astype(np.float32)
    length = -(-len(samples) * new_rate // rate)
    unit = rate // math.gcd(rate, new_rate)
    silence = 4096  # The spectrum is periodic: without it the end would leak into the beginning.
    padded = np.pad(samples, (0, silence + -(len(samples) + silence) % unit))
    size = len(padded) * new_rate // rate
    spectrum = np.fft.rfft(padded)[: size // 2 + 1]
    return np.clip(np.fft.irfft(spectrum, size) * size / len(padded), -1, 1)[:length].astype("f4")


def write_frames(path: str, frames: np.ndarray, fps: float, *tags: str) -> None:
    """Writes frames to a .npy file, or to a .y4m video that is marked as synthetic, atomically.

    Args:
      path: A name that ends in .npy or .y4m.
      frames: uint8 [T, H, W, 3].
      fps: Frame rate in frames/s.
      *tags: More X parameters of the Y4M header, without spaces.

    Raises:
      BundleError: The file cannot be written.
    """
    part = pathlib.Path(f"{path}.part")
    try:
        with open(part, "wb") as file:
            if path.endswith(".npy"):
                np.save(file, frames)
            else:
                file.writelines(_encode_y4m(frames, fps, ("SYNTHETIC", *tags)))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BundleError(f"--output={path} cannot be written: {error.strerror}") from error


def _encode_y4m(frames: np.ndarray, fps: float, tags: Sequence[str]) -> Iterator[bytes]:
    # BT.601, limited range.
    to_yuv = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112], [112, -93.786, -18.214]])
    height, width = frames.shape[1:3]
    form = f"W{width} H{height} F{round(1000 * fps)}:1000 Ip A1:1 C444"
    yield " ".join(["YUV4MPEG2", form, *(f"X{tag}" for tag in tags)]).encode() + b"\n"
    for frame in frames:
        planes = np.rint(frame / 255 @ to_yuv.T + (16, 128, 128)).astype(np.uint8)
        yield b"FRAME\n" + planes.transpose(2, 0, 1).tobytes()


def main(
    arguments: list[str] | None = None,
    description: str | None = __doc__,
    runtimes: dict[str, Any] = RUNTIMES,
) -> int:
    """Runs the command line.

    Args:
      arguments: The flags; None for those of the process.
      description: What --help says first.
      runtimes: Runtime classes by name; the first one is the default.

    Returns:
      The exit code: 0, or 2 for a mistake of the user, which is told in one sentence.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for flag in ("--image", "--audio", "--output"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--runtime", default=next(iter(runtimes)), help=" or ".join(runtimes))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        print(_animate(options, runtimes))
    except BundleError as error:
        print(f"run_bundle: {error}", file=sys.stderr)
        return 2
    return 0


def _animate(options: argparse.Namespace, runtimes: dict[str, Any]) -> str:
    if not options.output.endswith((".npy", ".y4m")):
        raise BundleError(f"--output={options.output}: must end in .npy or .y4m")
    bundle = Bundle(pathlib.Path(__file__).resolve().parent, options.runtime, runtimes)
    c = bundle.config
    still = read_image(options.image, c["height"], c["width"])
    frames = bundle(still, read_audio(options.audio, c["audio_rate"]), options.seed)
    # FFmpeg refuses a header of more than 127 bytes: not the whole checksum.
    tags = ("MADE_BY=s2f_jax", f"MODEL={c['source']['sum'][:16]}", f"SEED={options.seed}")
    write_frames(options.output, frames, c["audio_rate"] / c["stride"], *tags)
    return f"{options.output}: {len(frames)} frames of {c['width']}x{c['height']}"


if __name__ == "__main__":
    sys.exit(main())
