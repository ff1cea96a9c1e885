"""The generator for TensorFlow and LiteRT, as the functions of stablehlo.py with the weights inside.

    identify  still [b, H, W, 3] -> still, z_id, of_skip_0, ...
    animate   these, windows [b, t, window], noise [b, t, codes], state -> frames, next_<state>
    step      the same for one frame, without the t

A SavedModel has the three as signatures, for any b and t and the platforms of the StableHLO programs.
LiteRT has identify and step, one file each, for b = 1.
"""

import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import tensorflow as tf  # pyright: ignore[reportMissingModuleSource]
from etils import epath
from jax import export
from tensorflow.compiler.tf2xla.python import xla  # pyright: ignore[reportMissingImports]

from data_pipelines.common.errors import UserError
from s2f_jax.bundle import bundle
from s2f_jax.export import stablehlo
from s2f_jax.export.formats import FORMATS
from s2f_jax.export.stablehlo import Arrays, Program
from s2f_jax.models.generator import Generator

TFLITE_PROGRAMS = tuple(FORMATS["tflite"].programs)
# In a process of its own: TensorFlow's converter aborts on what it cannot convert.
_CONVERT = """
import pathlib, sys
import tensorflow as tf
folder, *names = sys.argv[1:]
for name in names:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    pathlib.Path(folder, f"{name}.tflite").write_bytes(converter.convert())
"""


def write_saved_model(
    generator: Generator, weights: bundle.NamedWeights, folder: epath.PathLike
) -> None:
    """Writes a SavedModel.

    Args:
      generator: The module.
      weights: Fused weights by name, float32.
      folder: The SavedModel's folder.
    """
    programs = stablehlo.program_functions(generator)
    with stablehlo.export_settings():
        packed = jax.jit(programs.pop("arrange").function)(weights)
    _save(programs, packed, folder, stablehlo.PLATFORMS)


def convert_to_tflite(generator: Generator, weights: bundle.NamedWeights) -> dict[str, bytes]:
    """Converts the programs of `TFLITE_PROGRAMS`, with built-in operations of LiteRT alone.

    Args:
      generator: The module.
      weights: Fused weights by name, float32.

    Returns:
      The content of each .tflite file, by the program's name.

    Raises:
      UserError: TensorFlow's converter failed.
    """
    programs = stablehlo.program_functions(generator, pack=False)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        # LiteRT has its own CPU convolutions; a TPU's program has the plain ones.
        chosen = {name: programs[name] for name in TFLITE_PROGRAMS}
        _save(chosen, weights, folder, ("tpu",), batch=1)
        command = [sys.executable, "-c", _CONVERT, name, *TFLITE_PROGRAMS]
        process = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if process.returncode:
            raise UserError(
                f"tensorflow {tf.__version__} cannot convert this generator for LiteRT"
                f" ({_failure(process)}): leave tflite out of --formats"
            )
        return {name: (folder / f"{name}.tflite").read_bytes() for name in TFLITE_PROGRAMS}


def _failure(process: subprocess.CompletedProcess[bytes]) -> str:
    # The last line in which Python or the compiler reports an error, or the exit code.
    lines = process.stderr.decode(errors="replace").splitlines()
    errors = [line.strip()[:300] for line in lines if "rror: " in line]
    return errors[-1] if errors else f"exit code {process.returncode}"


def _save(
    programs: Mapping[str, Program],
    weights: Mapping[str, Any],
    folder: epath.PathLike,
    platforms: Sequence[str],
    batch: int | None = None,
) -> None:
    """Saves programs as signatures and weights as variables; batch: None for any size."""
    module: Any = tf.Module()
    module.weights = {name: tf.Variable(value, name=name) for name, value in weights.items()}
    signatures = {}
    for name, program in programs.items():
        function, arguments = _with_named_arguments(program)
        shapes = jax.tree.map(lambda x: _with_batch(x, batch), (program.arguments[0], arguments))
        with stablehlo.export_settings():
            exported = stablehlo.export_program(function, shapes, platforms)

        def call(exported: export.Exported = exported, **inputs: tf.Tensor) -> Arrays:
            return _call_module(exported, dict(module.weights), inputs)

        specs = {key: _spec(key, value) for key, value in shapes[1].items()}
        signatures[name] = tf.function(call, autograph=False).get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures=signatures)


def _with_named_arguments(
    program: Program,
) -> tuple[Callable[[Arrays, Arrays], Arrays], Arrays]:
    # A program as a function of weights and a dict of all other arrays, and the shapes of those.
    _, *rest = program.arguments
    if len(rest) == 1:
        return lambda weights, inputs: program.function(weights, inputs["still"]), {
            "still": rest[0]
        }
    identity, windows, noise, state = rest

    def animate(weights: Arrays, inputs: Arrays) -> Arrays:
        features = {name: inputs[name] for name in identity}
        old = {name: inputs[name] for name in state}
        new, frames = program.function(weights, features, inputs["windows"], inputs["noise"], old)
        return {"frames": frames} | {f"next_{name}": value for name, value in new.items()}

    return animate, {**identity, "windows": windows, "noise": noise, **state}


def _call_module(exported: export.Exported, *arguments: Any) -> Arrays:
    """Calls a program within a TensorFlow graph."""
    leaves = jax.tree.leaves(arguments)
    results = xla.call_module(
        [leaves[i] for i in exported.module_kept_var_idx],
        version=exported.calling_convention_version,
        module=exported.mlir_module_serialized,
        platforms=[name.upper() for name in exported.platforms],
        Tout=[tf.as_dtype(result.dtype) for result in exported.out_avals],
        Sout=[_sizes(result) for result in exported.out_avals],
    )
    return jax.tree.unflatten(exported.out_tree, results)


def _with_batch(value: jax.ShapeDtypeStruct, batch: int | None) -> jax.ShapeDtypeStruct:
    sizes = [size if batch is None or isinstance(size, int) else batch for size in value.shape]
    return jax.ShapeDtypeStruct(sizes, value.dtype)


def _sizes(value: Any) -> list[int | None]:
    return [size if isinstance(size, int) else None for size in value.shape]


def _spec(name: str, value: jax.ShapeDtypeStruct) -> tf.TensorSpec:
    return tf.TensorSpec(_sizes(value), tf.float32, name=name)
