"""Measures how far a bundle's frames are from its checkpoint's, and how fast each format is."""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from data_pipelines.loading.training_examples import audio_margins
from data_pipelines.media.sound import OffsetRemover
from s2f_jax import rngs
from s2f_jax.bundle import bundle, bundle_runtime, run_tensorflow
from s2f_jax.inference.session import CompiledGenerator, GenerationSession
from s2f_jax.models import fused_generator
from s2f_jax.models.context_encoder import audio_windows
from s2f_jax.models.generator import Generator
from s2f_jax.models.pixels import from_uint8

TOLERANCE = 1e-4  # Between a format's frames in [-1, 1] and the checkpoint's.
CASES = ((1, 1, 1), (1, 75, 75), (3, 1, 1), (3, 75, 75), (1, 75, 1))  # Batch, frames, per call.
TIMED_FRAMES = 75  # Length of the clip that is timed and that lossy weights are judged on.
TIMED_RUNS = 3  # Whose median counts.
ANIMATOR = "s2f_jax"  # The name in the report of the bundle's weights in this package.

# stills uint8 [B, H, W, 3], audios float32 [B, S], frames per call -> frames [B, T, H, W, 3] in
# [-1, 1]; the seed of clip i is i.
GenerateFunction = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Example:
    """A still and audio to compare on.

    Attributes:
      description: A few words for the report.
      still: uint8 [H, W, 3].
      audio: float32 [S] in [-1, 1] at the model's rate.
    """

    description: str
    still: np.ndarray
    audio: np.ndarray

    def batch(self, generator: Generator, size: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Makes a batch of different clips.

        Args:
          generator: The module.
          size: Number of clips B.
          frames: Frames T of each.

        Returns:
          Stills uint8 [B, H, W, 3], every second one mirrored, and audio float32 [B, T * stride],
          each from another offset on.
        """
        samples = frames * generator.stride
        stills = np.stack([self.still[:, :: -1 if i % 2 else 1] for i in range(size)])
        offsets = [i * len(self.audio) // size for i in range(size)]
        audios = [np.resize(np.roll(self.audio, -offset), samples) for offset in offsets]
        return stills, np.stack(audios)


def noise_example(generator: Generator) -> Example:
    """Makes an example of uniform noise.

    Args:
      generator: The module whose sizes it has.

    Returns:
      The example.
    """
    rng = np.random.default_rng(0)
    still = rng.integers(0, 256, (generator.height, generator.width_px, 3), np.uint8)
    audio = rng.uniform(-1, 1, TIMED_FRAMES * generator.stride).astype(np.float32)
    return Example("noise for still and sound", still, audio)


def synthetic_example(generator: Generator) -> Example:
    """Makes an example of a face drawn by code and a sentence spoken by eSpeak NG.

    Args:
      generator: The module whose sizes it has.

    Returns:
      The example.

    Raises:
      UserError: eSpeak NG is not installed.
    """
    from data_pipelines.demo import draw, face, motion, speech
    from data_pipelines.media.sound import resample, to_mono_float

    g, rng = generator, np.random.default_rng(0)
    samples, _, phones = speech.speak(speech.random_sentence(rng), speech.Voice())
    painter = draw.FacePainter(face.random_face(rng), g.height, g.width_px)
    frames, _ = painter(motion.random_motion(rng, phones, g.fps, g.fps, 1.0))
    audio = resample(to_mono_float(samples), speech.RATE, g.audio_rate)
    return Example("a drawn face under a synthetic voice", frames[0], audio)


def measure_parity(
    folder: epath.Path,
    generator: Generator,
    variables: Mapping[str, Any],
    weights: bundle.NamedWeights,
    formats: Mapping[str, str],
    examples: Sequence[Example],
) -> dict[str, Any]:
    """Measures every format of a bundle against the checkpoint.

    Args:
      folder: The bundle.
      generator: The module, of dtype float32.
      variables: The checkpoint's.
      weights: The checkpoint's fused weights by name, float32.
      formats: The runtime of each format, by the format's name.
      examples: What is compared on; lossy weights are judged on the last one.

    Returns:
      The content of parity.json.
    """
    g = generator
    reference = _reference(g, variables)
    stored = bundle_runtime.parse_safetensors((folder / bundle.WEIGHTS_FILE).read_bytes())
    functions = {ANIMATOR: _with_animator(g, stored)}
    functions |= {name: _with_runtime(folder, runtime) for name, runtime in formats.items()}
    cases: dict[str, list[dict[str, Any]]] = {name: [] for name in functions}
    for example in examples:
        for size, frames, chunk in CASES:
            inputs = example.batch(g, size, frames)
            expected = reference(*inputs, chunk)
            results = {name: generate(*inputs, chunk) for name, generate in functions.items()}
            case = {"input": example.description, "batch": size, "frames": frames, "at_once": chunk}
            for name, result in results.items():
                differences = {
                    "difference": _max_difference(result, expected),
                    "difference_same_weights": _max_difference(result, results[ANIMATOR]),
                }
                cases[name].append(case | differences)
    clip = examples[-1].batch(g, 1, TIMED_FRAMES)
    return {
        "values": "frames in [-1, 1]",
        "limit": TOLERANCE,
        "device": jax.devices()[0].device_kind,
        "formats": {name: _summarize(cases[name], f, clip) for name, f in functions.items()},
        "weights_judged_on": examples[-1].description,
        "weights": _compare_weight_types(g, weights, clip, reference(*clip, TIMED_FRAMES)),
    }


def _max_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


def _generator_inputs(
    generator: Generator, stills: np.ndarray, audios: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # What Generator is called with: stills, padded audio, noise.
    g, frames = generator, audios.shape[1] // generator.stride
    margins = audio_margins(g.window, g.stride)
    audios = OffsetRemover(g.audio_rate, g.window - margins[0])(audios, last=True)
    padded = np.pad(audios, ((0, 0), margins))
    roots = [rngs.key(jax.random.key(seed), "noise") for seed in range(len(stills))]
    noise = [rngs.frame_noise(root, frames, g.noise_features, g.noise_std) for root in roots]
    return from_uint8(stills), padded, np.stack(noise)


def _reference(generator: Generator, variables: Mapping[str, Any]) -> GenerateFunction:
    # The networks as they were trained, with matrix products in full float32.
    apply = jax.jit(generator.apply)

    def generate(stills: np.ndarray, audios: np.ndarray, chunk: int) -> np.ndarray:
        del chunk  # All frames in one call.
        with jax.default_matmul_precision("highest"):
            frames: Any = apply(variables, *_generator_inputs(generator, stills, audios))
            return np.asarray(frames)

    return generate


def _with_animator(generator: Generator, weights: bundle.NamedWeights) -> GenerateFunction:
    compiled = CompiledGenerator(generator, bundle.unflatten_weights(weights))

    def generate(stills: np.ndarray, audios: np.ndarray, chunk: int) -> np.ndarray:
        with jax.default_matmul_precision("highest"):
            seeds = range(len(stills))
            session = GenerationSession(compiled, stills, seeds, raw=True, chunk_sizes=(chunk,))
            return np.concatenate([session.push(audios), session.flush()], axis=1)

    return generate


def _with_runtime(folder: epath.Path, runtime: str) -> GenerateFunction:
    runtimes = bundle_runtime.RUNTIMES | run_tensorflow.RUNTIMES
    loaded = bundle_runtime.Bundle(folder, runtime, runtimes)

    def generate(stills: np.ndarray, audios: np.ndarray, chunk: int) -> np.ndarray:
        chunks = loaded.generate_frames(stills, audios, range(len(stills)), chunk)
        return np.concatenate(list(chunks), axis=1)

    return generate


def _summarize(
    cases: list[dict[str, Any]],
    generate: GenerateFunction,
    clip: tuple[np.ndarray, np.ndarray],
) -> dict[str, Any]:
    # One format's largest differences, its speed on a clip, and its cases.
    whole = _median_seconds(functools.partial(generate, *clip, TIMED_FRAMES))
    by_frame = _median_seconds(functools.partial(generate, *clip, 1))
    return {
        "difference": max(case["difference"] for case in cases),
        "difference_same_weights": max(case["difference_same_weights"] for case in cases),
        "frames_per_s": TIMED_FRAMES / whole,
        "step_ms": 1000 * by_frame / TIMED_FRAMES,
        "cases": cases,
    }


def _median_seconds(call: Callable[[], Any]) -> float:
    # Of a call that was made before, so that no compilation is timed.
    times = []
    for _ in range(TIMED_RUNS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _compare_weight_types(
    generator: Generator,
    weights: bundle.NamedWeights,
    clip: tuple[np.ndarray, np.ndarray],
    expected: np.ndarray,
) -> dict[str, Any]:
    # Size and loss of every weight type, whichever the bundle has.
    g, table = generator, {}
    still, audio, noise = map(jnp.asarray, _generator_inputs(g, *clip))
    windows = audio_windows(audio, g.stride, g.window)

    @jax.jit
    def generate(weights: fused_generator.Weights) -> jax.Array:
        identity, carry = fused_generator.encode_identity(weights, still), g.initial_carry(1)
        return fused_generator.animate(g, weights, identity, windows, noise, carry)[1]

    for weight_type in bundle.WEIGHT_TYPES:
        data = bundle.to_safetensors(bundle.convert_weights(weights, weight_type))
        with jax.default_matmul_precision("highest"):
            frames = generate(bundle.unflatten_weights(bundle_runtime.parse_safetensors(data)))
        error = np.asarray(frames) - expected
        table[weight_type] = {
            "bytes": len(data),
            "difference": float(np.abs(error).max()),
            "mean_difference": float(np.abs(error).mean()),
            "psnr_db": float(10 * np.log10(4 / np.mean(np.square(error, dtype=np.float64)))),
        }
    return table
