"""The generator for TensorFlow and LiteRT, weights inside: programs.py's functions by other names.

    identify  still [b, H, W, 3] -> still, z_id, of_skip_0, ...
    animate   these, windows [b, t, window], noise [b, t, codes], state -> frames, next_<state>
    step      the same for one frame, without the t

A SavedModel has the three as signatures, for any b and t and the platforms of the StableHLO programs.
LiteRT has identify and step as one file each, for b = 1.
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
from jax.experimental import jax2tf

from data_pipelines.common.errors import UserError
from s2f_jax.bundle import bundle
from s2f_jax.export import stablehlo
from s2f_jax.export.stablehlo import Arrays, Program
from s2f_jax.models.generator import Generator

FILES = {  # Of the SavedModel, in a folder of that name.
    "graph": "savedmodel/saved_model.pb",
    "index": "savedmodel/variables/variables.index",
    "variables": "savedmodel/variables/variables.data-00000-of-00001",
}
LITE = ("identify", "step")
# In a process of its own: what TensorFlow's converter cannot convert may end it.
_CONVERT = """
import pathlib, sys
import tensorflow as tf
folder, *names = sys.argv[1:]
for name in names:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    pathlib.Path(folder, f"{name}.tflite").write_bytes(converter.convert())
"""


def saved_model(generator: Generator, weights: bundle.Named, folder: epath.PathLike) -> None:
    """Writes the folder. weights: folded, float32."""
    made = stablehlo.functions(generator)
    with stablehlo.exporting():
        ready = jax.jit(made.pop("arrange").function)(weights)
    _save(made, ready, folder, stablehlo.PLATFORMS)


def lite(generator: Generator, weights: bundle.Named) -> dict[str, bytes]:
    """Each of LITE as a .tflite file holds it, float32, of LiteRT's own operations.

    Raises UserError where TensorFlow's converter fails.
    """
    made = stablehlo.functions(generator, arranging=False)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        # LiteRT has convolutions of its own: of the forms, it gets the plain ones, as TPUs do.
        _save({each: made[each] for each in LITE}, weights, folder, ("tpu",), batch=1)
        command = [sys.executable, "-c", _CONVERT, name, *LITE]
        ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if ended.returncode:
            raise UserError(
                f"tensorflow {tf.__version__} cannot convert this generator for LiteRT"
                f" ({_reason(ended)}): leave tflite out of --formats"
            )
        return {each: (folder / f"{each}.tflite").read_bytes() for each in LITE}


def _reason(ended: subprocess.CompletedProcess[bytes]) -> str:
    """In one line: what Python or the compiler called an error last, or how the process ended."""
    lines = ended.stderr.decode(errors="replace").splitlines()
    said = [line.strip()[:300] for line in lines if "rror: " in line]
    return said[-1] if said else f"it ended with code {ended.returncode}"


def _save(
    made: Mapping[str, Program],
    weights: Mapping[str, Any],
    folder: epath.PathLike,
    platforms: Sequence[str],
    batch: int | None = None,
) -> None:
    """Programs as the signatures of a SavedModel, their weights as its variables; batch: None for
    any."""
    module: Any = tf.Module()
    module.weights = {name: tf.Variable(value, name=name) for name, value in weights.items()}
    signatures = {}
    for name, program in made.items():
        function, arguments = _by_name(program)
        shapes: Any = [None, {each: str(value.shape) for each, value in arguments.items()}]
        with stablehlo.exporting():
            converted = jax2tf.convert(
                function,
                polymorphic_shapes=None if batch else shapes,
                with_gradient=False,
                native_serialization_platforms=platforms,
            )

            def call(converted: Any = converted, **given: tf.Tensor) -> Arrays:
                return converted(module.weights, given)

            specs = {each: _spec(each, value.shape, batch) for each, value in arguments.items()}
            signatures[name] = tf.function(call, autograph=False).get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures=signatures)


def _by_name(program: Program) -> tuple[Callable[[Arrays, Arrays], Arrays], Arrays]:
    """A program as a function of what is ready and the rest by name, and the shapes of the rest."""
    _, *rest = program.arguments
    if len(rest) == 1:
        return lambda ready, given: program.function(ready, given["still"]), {"still": rest[0]}
    identity, windows, noise, state = rest

    def draw(ready: Arrays, given: Arrays) -> Arrays:
        known = {name: given[name] for name in identity}
        before = {name: given[name] for name in state}
        after, frames = program.function(ready, known, given["windows"], given["noise"], before)
        return {"frames": frames} | {f"next_{name}": value for name, value in after.items()}

    return draw, {**identity, "windows": windows, "noise": noise, **state}


def _spec(name: str, shape: Sequence[Any], batch: int | None) -> tf.TensorSpec:
    sizes = [size if isinstance(size, int) else batch for size in shape]
    return tf.TensorSpec(sizes, tf.float32, name=name)
