"""The generator as StableHLO programs, each for CPU, CUDA and TPU, any batch and any length.

    arrange(weights) -> packed
    identify(packed, still [b, H, W, 3]) -> identity
    animate(packed, identity, windows [b, t, window], noise [b, t, codes], state) -> state, frames
    step(packed, identity, window [b, window], noise [b, codes], state) -> state, frame [b, H, W, 3]

Weights, packed weights, identity and state are dicts of float32 arrays by name. The weights are
arguments, so that one file of them serves all programs. On a CPU they are packed once, because that
takes longer than a frame. Matrix products ask for the highest precision: by default GPUs take TF32
and TPUs bfloat16.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export
from jax.extend.mlir import ir
from jax.extend.mlir.dialects import stablehlo

from s2f_jax.bundle import bundle
from s2f_jax.models import fused_generator
from s2f_jax.models.generator import Carry, Generator, IdentityFeatures

PLATFORMS = ("cpu", "cuda", "tpu")
# Older than that of any jax that s2f_jax runs on (0.10.2 has 1.17), and than what TensorFlow 2.21 reads.
STABLEHLO_VERSION = "1.9.0"
Arrays = dict[str, Any]


class Program(NamedTuple):
    """A function to export.

    Attributes:
      function: A function from arrays to arrays.
      arguments: Trees of jax.ShapeDtypeStruct whose dimensions b and t are symbolic.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def carry_to_state(carry: Carry) -> Arrays:
    """Converts a carry to arrays by name.

    Args:
      carry: The GRU states.

    Returns:
      context_0, context_1 and spontaneous_0, as far as the generator has them.
    """
    parts = {"context": carry.context, "spontaneous": carry.noise}
    return {f"{name}_{i}": h for name, layers in parts.items() for i, h in enumerate(layers)}


def _state_to_carry(state: Mapping[str, jax.Array]) -> Carry:
    def layers(name: str) -> tuple[jax.Array, ...]:
        return tuple(state[key] for key in sorted(state) if key.startswith(name))

    return Carry(layers("context"), layers("spontaneous"))


def state_sizes(generator: Generator) -> dict[str, int]:
    """Returns the sizes of the state that a frame passes to the next.

    Args:
      generator: The module.

    Returns:
      The number of features of each part, by its name.
    """
    return {name: h.shape[1] for name, h in carry_to_state(generator.initial_carry(1)).items()}


def export_programs(generator: Generator) -> dict[str, bytes]:
    """Exports the four programs.

    Args:
      generator: The module.

    Returns:
      Each program by name, serialized by jax.export.
    """
    serialized = {}
    for name, (function, arguments) in program_functions(generator).items():
        with export_settings():
            serialized[name] = bytes(export_program(function, arguments, PLATFORMS).serialize())
    return serialized


def export_program(
    function: Callable[..., Any], arguments: Sequence[Any], platforms: Sequence[str]
) -> export.Exported:
    """Exports a function as StableHLO of STABLEHLO_VERSION.

    jax.export alone writes for readers of four weeks before itself, so that last season's jax could
    not read today's program.

    Args:
      function: A function from arrays to arrays.
      arguments: Trees of jax.ShapeDtypeStruct.
      platforms: Names of platforms in lower case.

    Returns:
      The program.
    """
    exported = export.export(jax.jit(function), platforms=platforms)(*arguments)
    context: Any = ir.Context()
    stablehlo.register_dialect(context)
    with context:
        module = stablehlo.deserialize_portable_artifact(context, exported.mlir_module_serialized)
        artifact = stablehlo.serialize_portable_artifact(module, STABLEHLO_VERSION)
    return dataclasses.replace(exported, mlir_module_serialized=artifact)


def program_functions(generator: Generator, pack: bool = True) -> dict[str, Program]:
    """Builds the functions behind the programs.

    Args:
      generator: The module.
      pack: Whether `arrange` packs the kernels for a CPU; otherwise it returns the weights as they
        are.

    Returns:
      arrange, identify, animate and step.
    """
    g = generator
    b, t = export.symbolic_shape("b, t")
    weights = {name: _float32(*shape) for name, shape in bundle.weight_shapes(g).items()}
    stills = _float32(b, g.height, g.width_px, 3)
    clips = _float32(b, t, g.window), _float32(b, t, g.noise_features)
    one_frame = _float32(b, g.window), _float32(b, g.noise_features)
    initial = {name: _float32(b, size) for name, size in state_sizes(g).items()}

    def pack_weights(weights: Arrays) -> fused_generator.Weights:
        tree = bundle.unflatten_weights(weights)
        return fused_generator.pack_kernels(g, tree, b) if pack else tree

    structure = jax.tree.structure(jax.eval_shape(pack_weights, weights))

    def arrange(weights: Arrays) -> Arrays:
        return bundle.flatten_weights(pack_weights(weights))

    packed_weights = jax.eval_shape(arrange, weights)
    names = list(packed_weights)

    def to_tree(packed: Arrays) -> fused_generator.Weights:
        # Packed kernels are dataclasses, which no dotted name can tell from dicts.
        return jax.tree.unflatten(structure, [packed[name] for name in names])

    def identify(packed: Arrays, still: jax.Array) -> Arrays:
        identity = fused_generator.encode_identity(to_tree(packed), still)
        terms = {f"of_skip_{i}": x for i, x in enumerate(identity.skip_terms) if x is not None}
        return {"still": still, "z_id": identity.z_id, **terms}

    def animate(
        packed: Arrays, identity: Arrays, windows: jax.Array, noise: jax.Array, state: Arrays
    ) -> tuple[Arrays, jax.Array]:
        tree = to_tree(packed)
        stages = range(len(tree["frame_decoder"]["stages"]))
        terms: Any = [identity.get(f"of_skip_{i}") for i in stages]
        features = IdentityFeatures(identity["still"], identity["z_id"], terms)
        carry = _state_to_carry(state)
        carry, frames = fused_generator.animate(g, tree, features, windows, noise, carry)
        return carry_to_state(carry), frames

    def step(
        packed: Arrays, identity: Arrays, window: jax.Array, noise: jax.Array, state: Arrays
    ) -> tuple[Arrays, jax.Array]:
        state, frames = animate(packed, identity, window[:, None], noise[:, None], state)
        return state, frames[:, 0]

    identity = jax.eval_shape(identify, packed_weights, stills)
    return {
        "arrange": Program(arrange, (weights,)),
        "identify": Program(identify, (packed_weights, stills)),
        "animate": Program(animate, (packed_weights, identity, *clips, initial)),
        "step": Program(step, (packed_weights, identity, *one_frame, initial)),
    }


def _float32(*shape: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


@contextlib.contextmanager
def export_settings() -> Iterator[None]:
    """Sets JAX up for an export.

    Matrix products have the highest precision, and programs do not record the paths of Python files
    on this machine.

    Yields:
      None, for as long as the settings hold.
    """
    config: Any = jax.config
    depth = config.jax_traceback_in_locations_limit
    config.update("jax_traceback_in_locations_limit", 0)
    try:
        with jax.default_matmul_precision("highest"):
            yield
    finally:
        config.update("jax_traceback_in_locations_limit", depth)
