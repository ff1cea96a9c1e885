"""What runs the bundle that this file lies in: with numpy, and either jax or onnxruntime.

    frames = Bundle(folder, runtime="jax")(still, sound, seed=0)

run_bundle.py, beside it, does the same from a command line, and reads and writes files.
Shapes below: B stills, T frames, window samples of sound that a frame sees.
"""

import hashlib
import importlib.util
import json
import math
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

FORMAT = 1  # Of config.json.
SUMS = "SHA256SUMS"
CHUNK = 25  # Frames drawn at once: an hour of sound takes no more memory than a second.
UNREADABLE = (  # What a damaged file may raise.
    *(OSError, ValueError, TypeError, LookupError, AttributeError, EOFError, RecursionError),
    *(OverflowError, struct.error, zlib.error),
)
Arrays = dict[str, Any]  # By name: numpy's arrays, or the runtime's own.


class Problem(Exception):
    """What a person can mend, in one sentence."""


def sum_of(folder: Any, name: str) -> str:
    """The SHA-256 that a file of the bundle was written with."""
    for each in (SUMS, name):  # A pipe would be waited for.
        if (folder / each).exists() and not (folder / each).is_file():
            raise Problem(f"{folder / each} is no file: copy the bundle again")
    try:
        lines = (folder / SUMS).read_text().splitlines()
        return dict(line.split("  ")[::-1] for line in lines)[name]
    except (OSError, ValueError, KeyError) as error:
        raise Problem(f"{folder} has no sum of {name} in {SUMS}: copy it again") from error


def checked(folder: Any, name: str) -> bytes:
    """A file of the bundle, if it is as it was written."""
    expected = sum_of(folder, name)
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise Problem(f"{folder} lacks {name} ({error.strerror}): copy the bundle again") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise Problem(f"{folder / name} is damaged (its sum is not that of {SUMS}): copy it again")
    return data


def read_config(folder: Any) -> dict[str, Any]:
    try:
        config = json.loads(checked(folder, "config.json"))
        found = config["format_version"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise Problem(f"{folder / 'config.json'} is no bundle's: make the bundle again") from error
    if found != FORMAT:
        raise Problem(
            f"{folder / 'config.json'} is of format {found} and this program reads {FORMAT}: use the"
            " run_bundle.py of that bundle, or the version of s2f_jax that made it"
        )
    return config


def read_weights(folder: Any, name: str = "model.safetensors") -> dict[str, np.ndarray]:
    """The weights by name, float32."""
    try:
        return weights_of(checked(folder, name))
    except UNREADABLE as error:
        raise Problem(f"{folder / name} cannot be read ({error}): make the bundle again") from error


def weights_of(data: bytes) -> dict[str, np.ndarray]:
    """A safetensors file of float32, bfloat16, or int8 with a float32 scale for each channel."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    numbers = memoryview(data)[8 + length :]
    stored = {name: _tensor(numbers, entry) for name, entry in header.items()}
    scales = {name: stored.pop(f"{name}.scale") for name in header if f"{name}.scale" in header}
    return {
        name: value.astype(np.float32) * scales[name] if name in scales else value
        for name, value in stored.items()
    }


def _tensor(data: memoryview, entry: dict[str, Any]) -> np.ndarray:
    kinds = {"F32": np.dtype("<f4"), "BF16": np.dtype("<u2"), "I8": np.dtype("i1")}
    start, end = entry["data_offsets"]
    values = np.frombuffer(data[start:end], kinds[entry["dtype"]]).reshape(entry["shape"])
    if entry["dtype"] == "BF16":  # The upper half of a float32.
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values


class JaxRuntime:
    """The StableHLO programs, on whatever device jax finds."""

    runs = "stablehlo"

    def __init__(self, folder: Any, config: dict[str, Any]):
        import jax
        from jax import export

        if not importlib.util.find_spec("flatbuffers"):  # jax needs it here and does not bring it.
            sys.path.append(str(folder))

        def program(name: str) -> Any:
            data = bytearray((folder / config["programs"][self.runs][name]).read_bytes())
            try:
                return jax.jit(export.deserialize(data).call)
            except ValueError as error:
                raise Problem(
                    f"jax {jax.__version__} cannot read {name}.stablehlo ({error}): install jax"
                    f" {config['made_with']['jax']}"
                ) from error

        self._ready = program("arrange")(read_weights(folder))
        self._identify, self._animate, self._step = map(program, ("identify", "animate", "step"))

    def identify(self, stills: np.ndarray) -> Arrays:
        """float32 [B, H, W, 3] in [-1, 1] -> what they contribute to every frame."""
        return self._identify(self._ready, stills)

    def animate(
        self, identity: Arrays, windows: np.ndarray, noise: np.ndarray, state: Arrays
    ) -> tuple[Arrays, np.ndarray]:
        """windows float32 [B, T, window], noise [B, T, codes] -> state, frames [B, T, H, W, 3]."""
        if windows.shape[1] == 1:
            state, frame = self._step(self._ready, identity, windows[:, 0], noise[:, 0], state)
            return state, np.asarray(frame)[:, None]
        state, frames = self._animate(self._ready, identity, windows, noise, state)
        return state, np.asarray(frames)


class OnnxRuntime:
    """As JaxRuntime, by the ONNX graphs, which read model.safetensors themselves."""

    runs = "onnx"

    def __init__(self, folder: Any, config: dict[str, Any]):
        import onnxruntime

        checked(folder, "model.safetensors")

        def session(name: str) -> Any:
            file = folder / config["programs"][self.runs][name]
            providers = onnxruntime.get_available_providers()
            return onnxruntime.InferenceSession(str(file), providers=providers)

        names = ("identity", "audio_step", "decode")
        self._identity, self._audio, self._decode = map(session, names)

    @staticmethod
    def _run(session: Any, given: Arrays) -> Arrays:
        wanted = {node.name: given[node.name] for node in session.get_inputs()}
        names = [node.name for node in session.get_outputs()]
        return dict(zip(names, session.run(names, wanted), strict=True))

    def identify(self, stills: np.ndarray) -> Arrays:
        return {"still": stills, **self._run(self._identity, {"still": stills})}

    def animate(
        self, identity: Arrays, windows: np.ndarray, noise: np.ndarray, state: Arrays
    ) -> tuple[Arrays, np.ndarray]:
        heard = self._run(self._audio, {"windows": windows, "noise": noise, **state})
        frames = self._run(self._decode, {"z": heard["z"], **identity})["frames"]
        return {name: heard[f"next_{name}"] for name in state}, frames


RUNTIMES: dict[str, Any] = {"jax": JaxRuntime, "onnx": OnnxRuntime}


class Bundle:
    """A still and sound in, frames out."""

    def __init__(self, folder: Any, runtime: str = "jax", runtimes: dict[str, Any] = RUNTIMES):
        """runtime: the name of one of the runtimes, which are classes like JaxRuntime."""
        self.config = read_config(folder)
        if runtime not in runtimes:
            raise Problem(f"there is no runtime {runtime!r}: give {' or '.join(runtimes)}")
        made = runtimes[runtime]
        if made.runs not in self.config["programs"]:
            raise Problem(f"{folder} has no {made.runs}: export it with --formats={made.runs}")
        for file in self.config["programs"][made.runs].values():
            checked(folder, file)
        try:
            self.runtime = made(folder, self.config)
        except ModuleNotFoundError as error:
            raise Problem(
                f"{error.name} is not installed: choose another runtime, or install it"
            ) from error

    def __call__(self, still: np.ndarray, sound: np.ndarray, seed: int = 0) -> np.ndarray:
        """still uint8 [H, W, 3], sound float32 [S] in [-1, 1] at the model's rate
        -> uint8 [ceil(S / stride), H, W, 3], the frames of s2f_jax's Animator."""
        parts = list(self.draw(still[None], sound[None], (seed,)))
        return np.clip(np.round((np.concatenate(parts, 1)[0] + 1) * 127.5), 0, 255).astype("u1")

    def draw(
        self, stills: np.ndarray, sounds: np.ndarray, seeds: Sequence[int], at_once: int = CHUNK
    ) -> Iterator[np.ndarray]:
        """stills uint8 [B, H, W, 3], sounds float32 [B, S], a seed each -> pieces of at most so many
        frames, float32 [B, k, H, W, 3] in [-1, 1]."""
        c = self.config
        check_size(stills.shape[1:], (c["height"], c["width"], 3))
        if not sounds.size or not np.isfinite(sounds).all():
            raise Problem(f"the sound's {sounds.size} samples are none or not finite: give others")
        window, stride = c["window"], c["stride"]
        identity = self.runtime.identify(stills.astype(np.float32) / np.float32(127.5) - 1)
        state = {name: np.zeros((len(stills), n), np.float32) for name, n in c["state"].items()}
        count = -(-sounds.shape[1] // stride)
        # With silence around it, the middle of window t is that of frame t.
        padded = np.zeros((len(sounds), count * stride + window - stride), np.float32)
        left = (window - stride) // 2
        padded[:, left : left + sounds.shape[1]] = sounds
        for first in range(0, count, at_once):
            frames = min(at_once, count - first)
            starts = stride * (first + np.arange(frames))
            windows = padded[:, starts[:, None] + np.arange(window)]
            of_seed = (c["noise_features"], c["noise_std"])
            drawn = np.stack([noise(seed, first, frames, *of_seed) for seed in seeds])
            state, out = self.runtime.animate(identity, windows, drawn, state)
            yield out


def check_size(found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if found != wanted:
        raise Problem(
            f"the image is {list(found)} and the model takes {list(wanted)} (height, width,"
            " colours): give a face cropped as README.md says"
        )


def noise(seed: int, first: int, frames: int, features: int, std: float) -> np.ndarray:
    """The noise [frames, features] that s2f_jax has for this seed, however a clip is cut."""
    if not 0 <= seed < 2**32:
        raise Problem(f"seed={seed} is out of range: give 0 to 2^32 - 1")
    key = _threefry(_threefry((np.uint32(0), np.uint32(seed)), zlib.crc32(b"noise")), 0)
    keys = _threefry(key, np.arange(first, first + frames)[:, None])
    high, low = _threefry(keys, np.arange(features)[None])
    mantissa = ((high ^ low) >> np.uint32(9)) | np.uint32(0x3F800000)
    least = np.nextafter(np.float32(-1), np.float32(0))
    uniform = (mantissa.view(np.float32) - 1) * (np.float32(1) - least) + least
    return np.float32(std * math.sqrt(2)) * _inverse_erf(np.maximum(uniform, least))


def _threefry(key: tuple[Any, Any], number: Any) -> tuple[Any, Any]:
    """Threefry-2x32 of Salmon et al. 2011, 20 rounds: words of 32 bits for a key and a number."""
    x, y = np.uint32(0), np.asarray(number, np.uint32)
    schedule = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(0x1BD11BDA))
    with np.errstate(over="ignore"):  # Sums are modulo 2^32.
        x, y = x + schedule[0], y + schedule[1]
        for i in range(5):
            for by in ((13, 15, 26, 6), (17, 29, 16, 24))[i % 2]:
                x = x + y
                y = ((y << np.uint32(by)) | (y >> np.uint32(32 - by))) ^ x
            x = x + schedule[(i + 1) % 3]
            y = y + schedule[(i + 2) % 3] + np.uint32(i + 1)
    return x, y


# Giles, "Approximating the erfinv function", 2012: single precision, highest power first.
_CENTRE = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087)
_CENTRE += (-0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
_TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773)
_TAIL += (-0.0076224613, 0.00943887047, 1.00167406, 2.83297682)


def _inverse_erf(x: np.ndarray) -> np.ndarray:
    w = -np.log1p(-x * x)
    near = np.polyval(np.array(_CENTRE, np.float32), w - np.float32(2.5))
    far = np.polyval(np.array(_TAIL, np.float32), np.sqrt(w) - np.float32(3))
    return np.where(w < 5, near, far).astype(np.float32) * x
