"""Runs the bundle that this file lies in, with numpy and either jax or onnxruntime.

    frames = Bundle(folder, runtime="jax")(still, audio, seed=0)

run_bundle.py, beside it, does the same from a command line, and reads and writes files. This file
imports nothing of s2f_jax, so that a bundle runs without it.
Shapes below: B stills, T frames, window the samples of audio that one frame sees.
"""

import contextlib
import hashlib
import importlib.util
import json
import math
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

FORMAT_VERSION = 1  # Of config.json.
CHECKSUMS_FILE = "SHA256SUMS"
_BLOCK = 256  # Samples.
CHUNK_FRAMES = 25  # Frames per call: memory does not grow with the length of the audio.
READ_ERRORS = (  # What parsing a damaged file may raise.
    *(OSError, ValueError, TypeError, LookupError, AttributeError, EOFError, RecursionError),
    *(OverflowError, struct.error, zlib.error),
)
Arrays = dict[str, Any]  # By name: numpy's arrays, or the runtime's own.
Folder = Any  # A pathlib.Path, or what has its methods.
Array = np.ndarray
Step = tuple[Arrays, Array]  # The state and the frames after a call.


class BundleError(Exception):
    """A mistake that the user can fix, in one sentence."""


def recorded_checksum(folder: Folder, name: str) -> str:
    """Reads the SHA-256 that a file of the bundle was written with.

    Args:
      folder: The bundle.
      name: The file's path in it.

    Returns:
      The checksum, hexadecimal.

    Raises:
      BundleError: It is not recorded, or the file is not a regular one.
    """
    for path in (folder / CHECKSUMS_FILE, folder / name):
        if path.exists() and not path.is_file():  # Reading a pipe would block.
            raise BundleError(f"{path} is not a regular file: copy the bundle again")
    try:
        lines = (folder / CHECKSUMS_FILE).read_text().splitlines()
        return dict(line.split("  ")[::-1] for line in lines)[name]
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{folder}: no checksum of {name}; copy the bundle again") from error


def _read_verified(folder: Folder, name: str) -> bytes:
    expected = recorded_checksum(folder, name)
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise BundleError(f"{folder / name}: {error.strerror}; copy the bundle again") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise BundleError(f"{folder / name} is damaged (wrong checksum): copy the bundle again")
    return data


def read_config(folder: Folder) -> dict[str, Any]:
    """Reads a bundle's config.json.

    Args:
      folder: The bundle.

    Returns:
      The JSON object.

    Raises:
      BundleError: It is damaged, or of another format version.
    """
    path = folder / "config.json"
    try:
        config = json.loads(_read_verified(folder, path.name))
        version = config["format_version"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise BundleError(f"{path} is not a bundle's config: export the run again") from error
    if version != FORMAT_VERSION:
        raise BundleError(
            f"{path} is of format {version} and this program reads {FORMAT_VERSION}: use the"
            " run_bundle.py of that bundle, or the version of s2f_jax that made it"
        )
    return config


def read_weights(folder: Folder) -> dict[str, np.ndarray]:
    """Reads a bundle's weights.

    Args:
      folder: The bundle.

    Returns:
      float32 arrays by name.

    Raises:
      BundleError: The file is missing, damaged, or not one of weights.
    """
    path = folder / "model.safetensors"
    try:
        return parse_safetensors(_read_verified(folder, path.name))
    except READ_ERRORS as error:
        raise BundleError(f"{path} cannot be read ({error}): export the run again") from error


def parse_safetensors(data: bytes) -> dict[str, np.ndarray]:
    """Parses a safetensors file of float32, bfloat16, or int8 with a float32 scale per channel.

    Args:
      data: The file's content.

    Returns:
      float32 arrays by name; an int8 tensor multiplied by `<name>.scale`.
    """
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body = memoryview(data)[8 + length :]
    tensors = {name: _parse_tensor(body, entry) for name, entry in header.items()}
    scales = {name: tensors.pop(f"{name}.scale") for name in header if f"{name}.scale" in header}
    return {
        name: value.astype(np.float32) * scales[name] if name in scales else value
        for name, value in tensors.items()
    }


def _parse_tensor(data: memoryview, entry: dict[str, Any]) -> np.ndarray:
    dtypes = {"F32": np.dtype("<f4"), "BF16": np.dtype("<u2"), "I8": np.dtype("i1")}
    start, end = entry["data_offsets"]
    values = np.frombuffer(data[start:end], dtypes[entry["dtype"]]).reshape(entry["shape"])
    if entry["dtype"] == "BF16":  # The upper half of a float32; numpy has no bfloat16.
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values


class Runtime(Protocol):
    """What executes a bundle's programs.

    Attributes:
      program_format: The key of config.json's `programs` that it runs.
    """

    program_format: str

    def encode_identity(self, stills: Array) -> Arrays:
        """Encodes stills once for all of their frames.

        Args:
          stills: float32 [B, H, W, 3] in [-1, 1].

        Returns:
          What `animate` takes as `identity`.
        """
        ...

    def animate(self, identity: Arrays, windows: Array, noise: Array, state: Arrays) -> Step:
        """Generates the next frames of each clip.

        Args:
          identity: The result of `encode_identity`.
          windows: float32 [B, T, window] in [-1, 1].
          noise: float32 [B, T, noise_features].
          state: The recurrent state by name; zeros at first.

        Returns:
          The new state and the frames, float32 [B, T, H, W, 3] in [-1, 1].
        """
        ...


class _JaxRuntime:
    """The StableHLO programs, on whatever device jax finds."""

    program_format = "stablehlo"

    def __init__(self, folder: Folder, config: dict[str, Any]):
        import jax
        from jax import export

        # jax.export needs it and does not require it.
        if not importlib.util.find_spec("flatbuffers"):
            sys.path.append(str(folder))
            try:
                importlib.import_module("flatbuffers")
            finally:
                sys.path.remove(str(folder))
        self._jax_version, self._config = jax.__version__, config

        def load(name: str) -> Any:
            path = folder / config["programs"][self.program_format][name]
            with self._reading(name):
                return jax.jit(export.deserialize(bytearray(path.read_bytes())).call)

        arrange, self._identify, self._animate, self._step = map(
            load, ("arrange", "identify", "animate", "step")
        )
        with self._reading("arrange"):
            self._packed_weights = arrange(read_weights(folder))

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Turns what jax raises of a newer jax's program, some of it at the first call, into a sentence."""
        try:
            yield
        except (ValueError, RuntimeError, NotImplementedError) as error:
            if "RESOURCE_EXHAUSTED" in str(error):  # Memory, on a device.
                raise
            others = [
                runtime
                for runtime, known in RUNTIMES.items()
                if known.program_format in self._config["programs"] and runtime != "jax"
            ]
            other = f"use --runtime={others[0]}" if others else "export again with ONNX beside it"
            reason, *_ = str(error).splitlines() or [type(error).__name__]  # It may have no text.
            raise BundleError(
                f"jax {self._jax_version} cannot run {name}.stablehlo ({reason}): {other}, or install"
                f" jax {self._config['made_with']['jax']}"
            ) from error

    def encode_identity(self, stills: Array) -> Arrays:
        with self._reading("identify"):
            return self._identify(self._packed_weights, stills)

    def animate(self, identity: Arrays, windows: Array, noise: Array, state: Arrays) -> Step:
        weights = self._packed_weights
        if windows.shape[1] == 1:
            with self._reading("step"):
                state, frame = self._step(weights, identity, windows[:, 0], noise[:, 0], state)
            return state, np.asarray(frame)[:, None]
        with self._reading("animate"):
            state, frames = self._animate(weights, identity, windows, noise, state)
        return state, np.asarray(frames)


class _OnnxRuntime:
    """The ONNX graphs, which read model.safetensors themselves."""

    program_format = "onnx"

    def __init__(self, folder: Folder, config: dict[str, Any]):
        import onnxruntime

        _read_verified(folder, "model.safetensors")

        def load(name: str) -> Any:
            file = folder / config["programs"][self.program_format][name]
            providers = onnxruntime.get_available_providers()
            return onnxruntime.InferenceSession(str(file), providers=providers)

        names = ("identity", "audio_step", "decode")
        self._identity, self._audio_step, self._decode = map(load, names)

    @staticmethod
    def _run(session: Any, values: Arrays) -> Arrays:
        inputs = {node.name: values[node.name] for node in session.get_inputs()}
        names = [node.name for node in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))

    def encode_identity(self, stills: Array) -> Arrays:
        return {"still": stills, **self._run(self._identity, {"still": stills})}

    def animate(self, identity: Arrays, windows: Array, noise: Array, state: Arrays) -> Step:
        audio = self._run(self._audio_step, {"windows": windows, "noise": noise, **state})
        frames = self._run(self._decode, {"z": audio["z"], **identity})["frames"]
        return {name: audio[f"next_{name}"] for name in state}, frames


RUNTIMES: dict[str, Any] = {"jax": _JaxRuntime, "onnx": _OnnxRuntime}


class Bundle:
    """A bundle that is loaded into a runtime.

    Args:
      folder: The bundle.
      runtime: A key of `runtimes`.
      runtimes: Classes with the interface of `Runtime`, by name.

    Raises:
      BundleError: The bundle is damaged, has no programs for the runtime, or a package is missing.
    """

    def __init__(self, folder: Folder, runtime: str = "jax", runtimes: dict[str, Any] = RUNTIMES):
        self.config = read_config(folder)
        if runtime not in runtimes:
            raise BundleError(f"there is no runtime {runtime!r}: give {' or '.join(runtimes)}")
        program_format = runtimes[runtime].program_format
        if program_format not in self.config["programs"]:
            raise BundleError(f"{folder}: must be exported with --formats={program_format}")
        for file in self.config["programs"][program_format].values():
            _read_verified(folder, file)
        try:
            self.runtime: Runtime = runtimes[runtime](folder, self.config)
        except ModuleNotFoundError as error:
            raise BundleError(f"--runtime={runtime}: {error.name} is not installed") from error

    def __call__(self, still: np.ndarray, audio: np.ndarray, seed: int = 0) -> np.ndarray:
        """Animates a still; the frames are those of s2f_jax's Animator.

        Args:
          still: uint8 [H, W, 3], a crop of the model's size.
          audio: float32 [S] in [-1, 1] at the model's rate.
          seed: Seed of the spontaneous motion, in [0, 2^32).

        Returns:
          uint8 [ceil(S / stride), H, W, 3].

        Raises:
          BundleError: The still, the audio or the seed is invalid.
        """
        chunks = list(self.generate_frames(still[None], audio[None], (seed,)))
        frames = np.concatenate(chunks, axis=1)[0]
        return np.clip(np.round((frames + 1) * 127.5), 0, 255).astype(np.uint8)

    def generate_frames(
        self,
        stills: np.ndarray,
        audios: np.ndarray,
        seeds: Sequence[int],
        chunk_frames: int = CHUNK_FRAMES,
    ) -> Iterator[np.ndarray]:
        """Animates a batch of stills piece by piece.

        Args:
          stills: uint8 [B, H, W, 3], crops of the model's size.
          audios: float32 [B, S] in [-1, 1] at the model's rate.
          seeds: One per clip, in [0, 2^32).
          chunk_frames: Frames per piece, at most.

        Yields:
          Consecutive frames of each clip, float32 [B, k, H, W, 3] in [-1, 1].

        Raises:
          BundleError: The stills, the audio or a seed is invalid.
        """
        c = self.config
        check_image_shape(stills.shape[1:], (c["height"], c["width"], 3))
        if not audios.size or not np.isfinite(audios).all():
            raise BundleError(f"the audio has {audios.size} samples, or some that are not finite")
        identity = self.runtime.encode_identity(stills.astype(np.float32) / np.float32(127.5) - 1)
        state = {name: np.zeros((len(stills), n), np.float32) for name, n in c["state"].items()}
        count = -(-audios.shape[1] // c["stride"])
        first = c["window"] - (c["window"] - c["stride"]) // 2  # Samples that the first frame sees.
        audios = remove_offset(audios, c["audio_rate"], first)
        windows = _frame_windows(audios, count, c["window"], c["stride"])
        for first in range(0, count, chunk_frames):
            chunk = np.ascontiguousarray(windows[:, first : first + chunk_frames])
            size = chunk.shape[1], c["noise_features"]
            noise = np.stack([_frame_noise(seed, first, *size, c["noise_std"]) for seed in seeds])
            state, frames = self.runtime.animate(identity, chunk, noise, state)
            yield frames


def remove_offset(audios: Array, rate: int, first: int) -> Array:
    """Removes a constant offset as in training, by a high-pass of 0.5 Hz, a block of samples at a time.

    Args:
      audios: float32 [B, S] in [-1, 1].
      rate: Sampling rate in Hz.
      first: Samples whose mean is taken for the sound before the audio.

    Returns:
      float32 [B, S] in [-1, 1].
    """
    decay = np.exp(-2 * np.pi * 0.5 / rate)
    audios = audios.astype(np.float64)
    before = audios[:, :first].mean(axis=1, keepdims=True)
    steps = (1 + decay) / 2 * np.diff(audios, axis=1, prepend=before)
    powers = decay ** np.arange(_BLOCK + 1)
    rows, columns = np.indices((_BLOCK, _BLOCK))
    response = np.where(rows <= columns, powers[abs(columns - rows)], 0.0)
    last = np.zeros((len(steps), 1))
    for start in range(0, steps.shape[1], _BLOCK):  # y[n] = decay y[n-1] + step[n], in place.
        block = steps[:, start : start + _BLOCK]
        size = block.shape[1]
        block[:] = block @ response[:size, :size] + last * powers[1 : size + 1]
        last = block[:, -1:]
    return np.clip(steps, -1, 1).astype(np.float32)


def _frame_windows(audios: Array, frames: int, window: int, stride: int) -> Array:
    # [B, S] -> a view [B, T, window]: with silence around it, window t is centred on frame t.
    left = (window - stride) // 2
    right = frames * stride + window - stride - left - audios.shape[1]
    padded = np.pad(audios, ((0, 0), (left, right)))
    return sliding_window_view(padded, window, axis=1)[:, ::stride]


def check_image_shape(actual: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Checks that an image has the model's size.

    Args:
      actual: Height, width and channels of the image.
      expected: Values of the model.

    Raises:
      BundleError: They differ.
    """
    if actual != expected:
        raise BundleError(f"the image is {list(actual)}: must be {list(expected)}, see README.md")


def _frame_noise(seed: int, first: int, frames: int, features: int, std: float) -> Array:
    # [T, F], the noise of s2f_jax.rngs.frame_noise, which depends on the seed and the frame alone.
    if not 0 <= seed < 2**32:
        raise BundleError(f"seed={seed} is out of range: give 0 to 2^32 - 1")
    # As jax.random.fold_in and jax.random.normal compute it.
    key = _threefry(_threefry((np.uint32(0), np.uint32(seed)), zlib.crc32(b"noise")), 0)
    keys = _threefry(key, np.arange(first, first + frames)[:, None])
    high, low = _threefry(keys, np.arange(features)[None])
    mantissa = ((high ^ low) >> np.uint32(9)) | np.uint32(0x3F800000)  # Of a float in [1, 2).
    least = np.nextafter(np.float32(-1), np.float32(0))
    uniform = (mantissa.view(np.float32) - 1) * (np.float32(1) - least) + least
    return np.float32(std * math.sqrt(2)) * _inverse_erf(np.maximum(uniform, least))


def _threefry(key: tuple[Any, Any], counter: Any) -> tuple[Any, Any]:
    # Threefry-2x32 of Salmon et al. 2011, 20 rounds: two 32-bit words for a key and a counter.
    x, y = np.uint32(0), np.asarray(counter, np.uint32)
    schedule = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(0x1BD11BDA))
    with np.errstate(over="ignore"):  # Sums are modulo 2^32.
        x, y = x + schedule[0], y + schedule[1]
        for i in range(5):
            for rotation in ((13, 15, 26, 6), (17, 29, 16, 24))[i % 2]:
                x = x + y
                y = ((y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation))) ^ x
            x = x + schedule[(i + 1) % 3]
            y = y + schedule[(i + 2) % 3] + np.uint32(i + 1)
    return x, y


# Giles, "Approximating the erfinv function", 2012: single precision, highest power first.
_CENTRAL = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087)
_CENTRAL += (-0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
_TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773)
_TAIL += (-0.0076224613, 0.00943887047, 1.00167406, 2.83297682)


def _inverse_erf(x: np.ndarray) -> np.ndarray:
    w = -np.log1p(-x * x)
    central = np.polyval(np.array(_CENTRAL, np.float32), w - np.float32(2.5))
    tail = np.polyval(np.array(_TAIL, np.float32), np.sqrt(w) - np.float32(3))
    return np.where(w < 5, central, tail).astype(np.float32) * x
