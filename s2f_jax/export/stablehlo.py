"""The generator as StableHLO: one file a program for CPU, CUDA and TPU, any batch, any length.

    arrange(weights) -> ready
    identify(ready, still [b, H, W, 3]) -> identity
    animate(ready, identity, windows [b, t, window], noise [b, t, codes], state) -> state, frames
    step(ready, identity, window [b, window], noise [b, codes], state) -> state, frame [b, H, W, 3]

Weights, ready, identity and state are dicts of float32 arrays by name. The weights are arguments, so
that one file of them serves every program; as a CPU likes them, which takes longer than a frame, they
are arranged once. Products are asked for at the highest precision: without it GPUs take TF32 and
TPUs bfloat16.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from s2f_jax.bundle import bundle
from s2f_jax.models import fused_generator
from s2f_jax.models.generator import Carry, Generator, IdentityFeatures

PLATFORMS = ("cpu", "cuda", "tpu")
Arrays = dict[str, Any]


class Program(NamedTuple):
    """A function of arrays, and the shapes of its arguments, b and t of them symbols."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def state_of(carry: Carry) -> Arrays:
    """A carry by name: context_0, context_1, spontaneous_0, as far as there are."""
    parts = {"context": carry.context, "spontaneous": carry.noise}
    return {f"{name}_{i}": h for name, layers in parts.items() for i, h in enumerate(layers)}


def stablehlo(generator: Generator) -> dict[str, bytes]:
    """Each program by name, serialized by jax.export."""
    return {name: _exported(*program) for name, program in functions(generator).items()}


def functions(generator: Generator, arranging: bool = True) -> dict[str, Program]:
    """Each program by name; without arranging, what is ready are the weights as they are."""
    g = generator
    weights = _float32(bundle.shapes(g))
    batch, frames = export.symbolic_shape("b, t")
    still = {"still": (batch, g.height, g.width_px, 3)}
    heard = {"windows": (batch, frames, g.window), "noise": (batch, frames, g.noise_features)}
    of_frame = {"windows": (batch, g.window), "noise": (batch, g.noise_features)}
    state = _float32({name: (batch, size) for name, size in state_sizes(g).items()})

    def arranged(weights: Arrays) -> fused_generator.Weights:
        nested = bundle.nested(weights)
        return fused_generator.pack_kernels(g, nested, batch) if arranging else nested

    structure = jax.tree.structure(jax.eval_shape(arranged, weights))

    def arrange(weights: Arrays) -> Arrays:
        return bundle.named(arranged(weights))

    ready = jax.eval_shape(arrange, weights)
    names = list(ready)

    def tree(ready: Arrays) -> fused_generator.Weights:
        return jax.tree.unflatten(structure, [ready[name] for name in names])

    def identify(ready: Arrays, still: jax.Array) -> Arrays:
        identity = fused_generator.encode_identity(tree(ready), still)
        maps = {f"of_skip_{i}": x for i, x in enumerate(identity.skip_terms) if x is not None}
        return {"still": still, "z_id": identity.z_id, **maps}

    def animate(
        ready: Arrays, identity: Arrays, windows: jax.Array, noise: jax.Array, state: Arrays
    ) -> tuple[Arrays, jax.Array]:
        nested = tree(ready)
        stages = range(len(nested["frame_decoder"]["stages"]))
        of_skips: Any = [identity.get(f"of_skip_{i}") for i in stages]
        inputs = IdentityFeatures(identity["still"], identity["z_id"], of_skips)
        carry = _carry_of(state)
        carry, drawn = fused_generator.animate(g, nested, inputs, windows, noise, carry)
        return state_of(carry), drawn

    def step(
        ready: Arrays, identity: Arrays, window: jax.Array, noise: jax.Array, state: Arrays
    ) -> tuple[Arrays, jax.Array]:
        state, drawn = animate(ready, identity, window[:, None], noise[:, None], state)
        return state, drawn[:, 0]

    given = _float32(still)["still"]
    identity = jax.eval_shape(identify, ready, given)
    return {
        "arrange": Program(arrange, (weights,)),
        "identify": Program(identify, (ready, given)),
        "animate": Program(animate, (ready, identity, *_float32(heard).values(), state)),
        "step": Program(step, (ready, identity, *_float32(of_frame).values(), state)),
    }


def state_sizes(generator: Generator) -> dict[str, int]:
    """Numbers in each part of the state that frames pass on, by name."""
    return {name: h.shape[1] for name, h in state_of(generator.initial_carry(1)).items()}


def _float32(shapes: Mapping[str, tuple[Any, ...]]) -> Arrays:
    return {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}


def _carry_of(state: Mapping[str, jax.Array]) -> Carry:
    def layers(name: str) -> tuple[jax.Array, ...]:
        return tuple(state[key] for key in sorted(state) if key.startswith(name))

    return Carry(layers("context"), layers("spontaneous"))


@contextlib.contextmanager
def exporting() -> Iterator[None]:
    """Products are precise, and no program says where on this machine its lines of Python are."""
    config: Any = jax.config
    depth = config.jax_traceback_in_locations_limit
    config.update("jax_traceback_in_locations_limit", 0)
    try:
        with jax.default_matmul_precision("highest"):
            yield
    finally:
        config.update("jax_traceback_in_locations_limit", depth)


def _exported(function: Any, arguments: tuple[Any, ...]) -> bytes:
    with exporting():
        return bytes(export.export(jax.jit(function), platforms=PLATFORMS)(*arguments).serialize())
