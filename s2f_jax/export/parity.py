"""How far a bundle's frames are from its checkpoint's, and how fast each of its formats is."""

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

from s2f_jax import rngs
from s2f_jax.bundle import bundle, bundle_runtime, run_tensorflow
from s2f_jax.inference.animator import Animator
from s2f_jax.inference.session import GenerationSession
from s2f_jax.models import fused_generator
from s2f_jax.models.context_encoder import audio_windows
from s2f_jax.models.generator import Generator

LIMIT = 1e-4  # Of frames in [-1, 1], between a format and the checkpoint.
CASES = ((1, 1, 1), (1, 75, 75), (3, 1, 1), (3, 75, 75), (1, 75, 1))  # Batch, frames, at once.
FRAMES = 75  # Of what is timed, and of what lossy weights are judged on.
RUNS = 3  # Timed ones; the median counts.
OWN = "s2f_jax"  # The bundle in Animator.

# stills uint8 [B, H, W, 3], sounds float32 [B, S], frames at once -> [B, T, H, W, 3] in [-1, 1];
# the seed of clip i is i.
Draw = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Example:
    """A still and sound to compare on."""

    what: str  # In a few words.
    still: np.ndarray  # uint8 [H, W, 3].
    sound: np.ndarray  # float32 [S] in [-1, 1] at the model's rate.

    def batch(self, generator: Generator, size: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """stills, each second one mirrored, and sounds, each from another moment on."""
        samples = frames * generator.stride
        stills = np.stack([self.still[:, :: -1 if i % 2 else 1] for i in range(size)])
        starts = [i * len(self.sound) // size for i in range(size)]
        return stills, np.stack([np.resize(np.roll(self.sound, -at), samples) for at in starts])


def noise_example(generator: Generator) -> Example:
    rng = np.random.default_rng(0)
    still = rng.integers(0, 256, (generator.height, generator.width_px, 3), np.uint8)
    sound = rng.uniform(-1, 1, FRAMES * generator.stride).astype(np.float32)
    return Example("noise for still and sound", still, sound)


def drawn_example(generator: Generator) -> Example:
    """A face drawn by code and a sentence of eSpeak NG.

    Raises UserError where that is not installed.
    """
    from data_pipelines.demo import draw, face, motion, speech
    from data_pipelines.media.sound import resample, to_mono_float

    g, rng = generator, np.random.default_rng(0)
    samples, _, phones = speech.speak(speech.random_sentence(rng), speech.Voice())
    painter = draw.FacePainter(face.random_face(rng), g.height, g.width_px)
    frames, _ = painter(motion.random_motion(rng, phones, g.fps, g.fps, 1.0))
    sound = resample(to_mono_float(samples), speech.RATE, g.audio_rate)
    return Example("a drawn face under a synthetic voice", frames[0], sound)


def measure(
    folder: epath.Path,
    generator: Generator,
    variables: Mapping[str, Any],
    weights: bundle.Named,
    formats: Mapping[str, str],
    examples: Sequence[Example],
) -> dict[str, Any]:
    """What parity.json holds.

    generator: float32. weights: folded, float32. formats: name -> its runtime, of the
    bundle in `folder`. examples: on the last one lossy weights are judged.
    """
    g = generator
    of_checkpoint = _networks(g, variables)
    own = bundle_runtime.weights_of((folder / bundle.WEIGHTS).read_bytes())
    draws = {OWN: _animator(g, own)}
    draws |= {name: _bundle(folder, runtime) for name, runtime in formats.items()}
    cases: dict[str, list[dict[str, Any]]] = {name: [] for name in draws}
    for example in examples:
        for size, frames, at_once in CASES:
            given = example.batch(g, size, frames)
            expected = of_checkpoint(*given, at_once)
            drawn = {name: draw(*given, at_once) for name, draw in draws.items()}
            case = {"input": example.what, "batch": size, "frames": frames, "at_once": at_once}
            for name, result in drawn.items():
                differences = {
                    "difference": _largest(result - expected),
                    "difference_same_weights": _largest(result - drawn[OWN]),
                }
                cases[name].append(case | differences)
    clip = examples[-1].batch(g, 1, FRAMES)
    return {
        "values": "frames in [-1, 1]",
        "limit": LIMIT,
        "device": jax.devices()[0].device_kind,
        "formats": {name: _summary(cases[name], draw, clip) for name, draw in draws.items()},
        "weights_judged_on": examples[-1].what,
        "weights": _weights(g, weights, clip, of_checkpoint(*clip, FRAMES)),
    }


def _largest(difference: np.ndarray) -> float:
    return float(np.abs(difference).max())


def _inputs(
    generator: Generator, stills: np.ndarray, sounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What Generator is called with."""
    g, frames = generator, sounds.shape[1] // generator.stride
    left = (g.window - g.stride) // 2
    audio = np.pad(sounds, ((0, 0), (left, g.window - g.stride - left)))
    roots = [rngs.key(jax.random.key(seed), "noise") for seed in range(len(stills))]
    noise = [rngs.frame_noise(root, frames, g.noise_features, g.noise_std) for root in roots]
    return stills / np.float32(127.5) - 1, audio, np.stack(noise)


def _networks(generator: Generator, variables: Mapping[str, Any]) -> Draw:
    """The checkpoint's networks as they were trained, their products in full float32."""
    apply = jax.jit(generator.apply)

    def draw(stills: np.ndarray, sounds: np.ndarray, at_once: int) -> np.ndarray:
        del at_once  # One call.
        with jax.default_matmul_precision("highest"):
            drawn: Any = apply(variables, *_inputs(generator, stills, sounds))
            return np.asarray(drawn)

    return draw


def _animator(generator: Generator, weights: bundle.Named) -> Draw:
    animator = Animator(generator, bundle.nested(weights))

    def draw(stills: np.ndarray, sounds: np.ndarray, at_once: int) -> np.ndarray:
        with jax.default_matmul_precision("highest"):
            drawing = GenerationSession(
                animator.painter, stills, range(len(stills)), raw=True, sizes=(at_once,)
            )
            return np.concatenate([drawing.push(sounds), drawing.flush()], axis=1)

    return draw


def _bundle(folder: epath.Path, runtime: str) -> Draw:
    runtimes = bundle_runtime.RUNTIMES | run_tensorflow.RUNTIMES
    loaded = bundle_runtime.Bundle(folder, runtime, runtimes)

    def draw(stills: np.ndarray, sounds: np.ndarray, at_once: int) -> np.ndarray:
        return np.concatenate(
            list(loaded.draw(stills, sounds, range(len(stills)), at_once)), axis=1
        )

    return draw


def _summary(
    cases: list[dict[str, Any]], draw: Draw, clip: tuple[np.ndarray, np.ndarray]
) -> dict[str, Any]:
    """Of one format: the largest differences, its speed on a clip, and each case."""
    return {
        "difference": max(case["difference"] for case in cases),
        "difference_same_weights": max(case["difference_same_weights"] for case in cases),
        "frames_per_s": FRAMES / _seconds(functools.partial(draw, *clip, FRAMES)),
        "step_ms": 1000 * _seconds(functools.partial(draw, *clip, 1)) / FRAMES,
        "cases": cases,
    }


def _seconds(run: Callable[[], Any]) -> float:
    """Of a call that has been made before, so that all is compiled."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _weights(
    generator: Generator,
    weights: bundle.Named,
    clip: tuple[np.ndarray, np.ndarray],
    expected: np.ndarray,
) -> dict[str, Any]:
    """What each type of weights takes and loses, whichever the bundle has."""
    g, table = generator, {}
    still, audio, noise = map(jnp.asarray, _inputs(g, *clip))
    windows = audio_windows(audio, g.stride, g.window)

    @jax.jit
    def draw(
        weights: fused_generator.Weights, still: jax.Array, windows: jax.Array, noise: jax.Array
    ) -> jax.Array:
        identity, carry = fused_generator.encode_identity(weights, still), g.initial_carry(1)
        return fused_generator.animate(g, weights, identity, windows, noise, carry)[1]

    for kind in bundle.WEIGHT_TYPES:
        data = bundle.serialized(bundle.stored(weights, kind))
        with jax.default_matmul_precision("highest"):
            drawn = draw(bundle.nested(bundle_runtime.weights_of(data)), still, windows, noise)
        gap = np.asarray(drawn) - expected
        table[kind] = {
            "bytes": len(data),
            "difference": _largest(gap),
            "mean_difference": float(np.abs(gap).mean()),
            "psnr_db": float(10 * np.log10(4 / np.mean(np.square(gap, dtype=np.float64)))),
        }
    return table
