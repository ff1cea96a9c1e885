"""Runs the bundle that this file lies in, with numpy and either jax or onnxruntime, and no more.

    python run_bundle.py --image=face.png --audio=speech.wav --output=talk.y4m [--runtime=onnx]

The image is a face cropped as the model was trained on (README.md), a PNG or uint8 [H, W, 3] in a
.npy file; the sound any PCM WAV. Frames go to a .npy file, uint8 [T, H, W, 3], or to a .y4m video,
which says that it is synthetic. ffmpeg gives it its sound, and has to be told to say so again:

    ffmpeg -i talk.y4m -i speech.wav -metadata comment="Synthetic, AI-generated" talk.mp4

In Python, by the file beside this one that does the work:

    frames = bundle_runtime.Bundle(folder, runtime="jax")(still, sound, seed=0)
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

# The file beside this one: an s2f_jax, where there is one, may be of another version.
from bundle_runtime import RUNTIMES, UNREADABLE, Bundle, Problem, check_size


def read_image(path: str, height: int, width: int) -> np.ndarray:
    """A .npy file, or a PNG of 8 bits a channel, of that size -> uint8 [H, W, 3]."""
    try:
        if path.endswith(".npy"):
            return np.load(path, allow_pickle=False).astype(np.uint8, casting="safe")
        return _png(pathlib.Path(path).read_bytes(), height, width)
    except UNREADABLE as error:
        raise Problem(
            f"the image {path} cannot be read ({error}): give a PNG of 8 bits a channel, not"
            " interlaced, or a .npy file"
        ) from error


def _png(data: bytes, height: int, width: int) -> np.ndarray:
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("it is no PNG")
    at, packed = 8, []
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            packed.append(data[at + 8 : at + 8 + length])
        at += 12 + length
    own_width, own_height, bits, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    check_size((own_height, own_width, 3), (height, width, 3))
    channels = {0: 1, 2: 3, 4: 2, 6: 4}.get(colour, 0)
    if bits != 8 or interlaced or not channels:
        raise ValueError(f"{bits} bits, colour type {colour}, interlacing {interlaced}")
    # No more than there should be, however much a hostile file would unpack to.
    size = height * (1 + width * channels)
    rows = zlib.decompressobj().decompress(b"".join(packed), size)
    pixels = _unfiltered(np.frombuffer(rows, np.uint8).reshape(height, -1), channels)
    pixels = pixels.reshape(height, width, channels)
    if channels in (2, 4):  # What shines through is white.
        alpha = pixels[..., -1:] / 255
        pixels = np.rint(pixels[..., :-1] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (height, width, 3)))


def _unfiltered(rows: np.ndarray, step: int) -> np.ndarray:
    """Rows, each after the number of its filter -> the bytes that were filtered."""
    out = np.zeros((len(rows) + 1, rows.shape[1] - 1 + step), np.uint8)
    for y, (kind, *line) in enumerate(rows.tolist(), 1):
        above, row = out[y - 1].tolist(), [0] * step
        for i, value in enumerate(line):
            left, up, corner = row[i], above[i + step], above[i]
            if kind == 4:
                to = left + up - corner
                guess = min((left, up, corner), key=lambda near, to=to: abs(to - near))
            else:
                guess = (0, left, up, (left + up) // 2)[kind]
            row.append((value + guess) % 256)
        out[y] = row
    return out[1:, step:]


def read_sound(path: str, rate: int) -> np.ndarray:
    """A WAV of whole-number samples -> mono float32 [S] in [-1, 1] at that rate."""
    try:
        with wave.open(path, "rb") as file:
            own, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise Problem(f"the sound {path} cannot be read ({error}): give a PCM WAV") from error
    data = data[: len(data) // (width * channels) * width * channels]
    if width == 1:
        samples = np.frombuffer(data, np.uint8) / 128 - 1
    else:  # Any width as the upper bytes of 32 bits.
        words = np.zeros((len(data) // width, 4), np.uint8)
        words[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
        samples = words.view("<i4")[:, 0] / 2**31
    return resample(samples.reshape(-1, channels).mean(axis=1), own, rate)


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Band-limited, by the spectrum: ceil(S * new_rate / rate) samples, float32."""
    if rate == new_rate or not samples.size:
        return samples.astype(np.float32)
    length = -(-len(samples) * new_rate // rate)
    unit = rate // math.gcd(rate, new_rate)
    silence = 4096  # Or the end would be heard at the beginning.
    whole = np.pad(samples, (0, silence + -(len(samples) + silence) % unit))
    size = len(whole) * new_rate // rate
    spectrum = np.fft.rfft(whole)[: size // 2 + 1]
    return np.clip(np.fft.irfft(spectrum, size) * size / len(whole), -1, 1)[:length].astype("f4")


def write_frames(path: str, frames: np.ndarray, fps: float, *said: str) -> None:
    """uint8 [T, H, W, 3] -> a .npy file, or a .y4m video that says that it is synthetic and, in words
    without spaces, what more there is to say; whole or not at all."""
    part = pathlib.Path(f"{path}.part")
    try:
        with open(part, "wb") as file:
            if path.endswith(".npy"):
                np.save(file, frames)
            else:
                file.writelines(_y4m(frames, fps, ("SYNTHETIC", *said)))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Problem(
            f"--output={path} cannot be written ({error.strerror}): choose another"
        ) from error


def _y4m(frames: np.ndarray, fps: float, said: Sequence[str]) -> Iterator[bytes]:
    of_rgb = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112], [112, -93.786, -18.214]])
    height, width = frames.shape[1:3]
    form = f"W{width} H{height} F{round(1000 * fps)}:1000 Ip A1:1 C444"
    yield " ".join(["YUV4MPEG2", form, *(f"X{word}" for word in said)]).encode() + b"\n"
    for frame in frames:
        planes = np.rint(frame / 255 @ of_rgb.T + (16, 128, 128)).astype(np.uint8)
        yield b"FRAME\n" + planes.transpose(2, 0, 1).tobytes()


def main(
    arguments: list[str] | None = None,
    about: str | None = __doc__,
    runtimes: dict[str, Any] = RUNTIMES,
) -> int:
    """runtimes: the first one is the default."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for flag in ("--image", "--audio", "--output"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--runtime", default=next(iter(runtimes)), help=" or ".join(runtimes))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        if not options.output.endswith((".npy", ".y4m")):
            raise Problem(f"--output={options.output} ends neither in .npy nor in .y4m: choose one")
        bundle = Bundle(pathlib.Path(__file__).resolve().parent, options.runtime, runtimes)
        c = bundle.config
        still = read_image(options.image, c["height"], c["width"])
        sound = read_sound(options.audio, c["audio_rate"])
        frames = bundle(still, sound, options.seed)
        said = ("MADE_BY=s2f_jax", f"MODEL={c['source']['sum']}", f"SEED={options.seed}")
        write_frames(options.output, frames, c["audio_rate"] / c["stride"], *said)
    except Problem as problem:
        print(f"run_bundle: {problem}", file=sys.stderr)
        return 2
    print(f"{options.output}: {len(frames)} frames of {c['width']}x{c['height']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
