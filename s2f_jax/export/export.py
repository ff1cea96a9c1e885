"""`export`: a checkpoint's generator as a folder that runs without this code."""

import importlib.util
import json
import pathlib
import re
import sys
from collections.abc import Mapping
from typing import Any

import flatbuffers
from etils import epath

from data_pipelines.common.errors import UserError
from s2f_jax.bundle import bundle, bundle_runtime, run_tensorflow
from s2f_jax.config import schema
from s2f_jax.export import model_card, parity, stablehlo
from s2f_jax.export.parity import Example
from s2f_jax.inference.animator import Animator
from s2f_jax.models import fused_generator, networks
from s2f_jax.models.generator import Generator
from s2f_jax.provenance import marks
from s2f_jax.runs import output_folder, restore, workdir
from s2f_jax.runs.restore import Trained

# And what runs it, in bundle_runtime.py and run_tensorflow.py.
FORMATS = {"stablehlo": "jax", "onnx": "onnx", "savedmodel": "tensorflow", "tflite": "litert"}
_PARTS = {
    "stablehlo": ("arrange", "identify", "animate", "step"),
    "onnx": ("identity", "audio_step", "decode"),
    "tflite": ("identify", "step"),
}
_NEEDS = {  # Packages, and the extra that brings them.
    "onnx": (("onnx", "onnxruntime"), "export"),
    "savedmodel": (("tensorflow",), "tensorflow"),
    "tflite": (("tensorflow", "ai_edge_litert"), "tensorflow"),
}


def export_bundle(
    checkpoint: str,
    output: str,
    formats: str = "stablehlo",
    weights: str = "float32",
    image: str | None = None,
    audio: str | None = None,
    aligned: bool = False,
    licence: str = model_card.NO_LICENCE,
) -> None:
    """Writes the bundle's folder, and how far it is from the checkpoint.

    formats: some of FORMATS, with commas. weights: one of bundle.WEIGHT_TYPES. image, audio: what
    the parity report compares on beside noise; default a drawn face and a synthetic voice. aligned:
    the image is a crop of the model's size. licence: of the weights, as the hub calls it.
    Raises UserError for what a person can mend; then nothing is written.
    """
    chosen = _checked_formats(formats)
    if weights not in bundle.WEIGHT_TYPES:
        kinds = ", ".join(bundle.WEIGHT_TYPES)
        raise UserError(f"--weights={weights} is not one of {kinds}: give one of them")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence):
        raise UserError(
            f"--license={licence!r} is no identifier: give e.g. apache-2.0 or cc-by-4.0"
        )
    target = output_folder.require_empty_output_dir(output)
    trained = restore.restore_generator(checkpoint)
    # Programs are float32 whatever the run computes in; who wants less asks for it of the device.
    model = {**trained.config.model, "dtype": "float32"}
    generator = networks.generator(trained.config.data, model)
    folded_weights = bundle.named(fused_generator.fold(generator, trained.variables))
    examples = [parity.noise_example(generator)]
    examples += _example(trained, generator, image, audio, aligned)
    with output_folder.atomic_directory(target) as folder:
        config = _config(trained, generator, chosen, weights)
        _write_model(folder, generator, chosen, bundle.stored(folded_weights, weights))
        _write_json(folder / bundle.CONFIG, config)
        _write_runners(folder, chosen)
        if "stablehlo" in chosen:
            _write_flatbuffers(folder)
        bundle.write_sums(folder)
        print("comparing each format with the checkpoint")
        runtimes = {name: FORMATS[name] for name in chosen}
        measured = parity.measure(
            folder, generator, trained.variables, folded_weights, runtimes, examples
        )
        _write_json(folder / "parity.json", measured)
        parameters = sum(value.size for value in folded_weights.values())
        about = model_card.text(config, measured, parameters, trained.workdir, licence)
        (folder / "README.md").write_text(about)
        bundle.write_sums(folder)
    _tell(output, measured, weights)


def _checked_formats(formats: str) -> list[str]:
    chosen = [name for name in FORMATS if name in formats.split(",")]
    if unknown := sorted(set(formats.split(",")) - set(FORMATS)):
        raise UserError(f"--formats has {unknown[0]!r}: give some of {','.join(FORMATS)}")
    for name in chosen:
        packages, extra = _NEEDS.get(name, ((), ""))
        for package in packages:
            if not importlib.util.find_spec(package):
                raise UserError(
                    f"--formats={name} needs {package}, which is not installed: pip install"
                    f" 's2f_jax[{extra}]'"
                )
    return chosen


def _example(
    trained: Trained,
    generator: Generator,
    image: str | None,
    audio: str | None,
    aligned: bool,
) -> list[Example]:
    """The still and sound to compare on beside noise; none where there are none."""
    if bool(image) != bool(audio):
        raise UserError("--image and --audio go together: give both or none of them")
    if image and audio:
        animator = Animator.of(trained)
        still = animator.still(image) if aligned else animator.portrait(image)[0]
        what = f"{epath.Path(image).name} under {epath.Path(audio).name}"
        return [Example(what, still, animator.sound(audio))]
    try:
        return [parity.drawn_example(generator)]
    except UserError as reason:
        print(f"the parity report compares on noise alone: {reason}", file=sys.stderr)
        return []


def _config(
    trained: Trained, generator: Generator, formats: list[str], weights: str
) -> dict[str, Any]:
    """What config.json holds: for its programs the sizes, for Animator the run's own sections."""
    g = generator
    made_with = workdir.describe(trained.config.seed)
    return {
        "format_version": bundle_runtime.FORMAT,
        "schema": schema.SCHEMA,
        "height": g.height,
        "width": g.width_px,
        "audio_rate": g.audio_rate,
        "stride": g.stride,
        "frames_per_s": g.audio_rate / g.stride,
        "window": g.window,
        "noise_features": g.noise_features,
        "noise_std": g.noise_std,
        "state": stablehlo.state_sizes(g),
        "weights": weights,
        "programs": {name: _files(name) for name in formats},
        "source": marks.model_identity(trained.folder),
        "made_with": {**made_with["versions"], "git": made_with["git"]},
        "data": bundle.section(trained.config.data),
        "model": bundle.section(trained.config.model),
    }


def _files(name: str) -> dict[str, str]:
    """Of a format, by what each holds."""
    if name == "savedmodel":
        from s2f_jax.export import tensorflow_models

        return tensorflow_models.FILES
    return {each: f"{each}.{name}" for each in _PARTS[name]}


def _write_model(
    folder: epath.Path, generator: Generator, formats: list[str], stored: bundle.Named
) -> None:
    weights = bundle.serialized(stored)
    (folder / bundle.WEIGHTS).write_bytes(weights)
    if "stablehlo" in formats:
        for name, program in stablehlo.stablehlo(generator).items():
            (folder / f"{name}.stablehlo").write_bytes(program)
    if "onnx" in formats:
        from s2f_jax.export import onnx_graphs

        for name, graph in onnx_graphs.graphs(generator, weights).items():
            (folder / f"{name}.onnx").write_bytes(graph.SerializeToString())
    if {"savedmodel", "tflite"} & set(formats):
        from s2f_jax.export import tensorflow_models

        widened = bundle_runtime.weights_of(weights)  # It has no lossy types.
        if "savedmodel" in formats:
            tensorflow_models.saved_model(generator, widened, folder / "savedmodel")
        if "tflite" in formats:
            for name, program in tensorflow_models.lite(generator, widened).items():
                (folder / f"{name}.tflite").write_bytes(program)


def _write_runners(folder: epath.Path, formats: list[str]) -> None:
    runners = ["bundle_runtime.py", "run_bundle.py"]
    if any(FORMATS[name] in run_tensorflow.RUNTIMES for name in formats):
        runners.append("run_tensorflow.py")
    for name in runners:
        (folder / name).write_text(
            (pathlib.Path(bundle_runtime.__file__).parent / name).read_text()
        )


def _write_flatbuffers(folder: epath.Path) -> None:
    """The package that jax reads programs with and does not depend on: Python alone, 60 kB."""
    package = pathlib.Path(flatbuffers.__file__).parent
    (folder / package.name).mkdir()
    for path in sorted(package.glob("*.py")):
        (folder / package.name / path.name).write_text(path.read_text())


def _write_json(path: epath.Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def _tell(output: str, measured: Mapping[str, Any], weights: str) -> None:
    """On the terminal: each format, and what is not as it should be."""
    for name, row in measured["formats"].items():
        print(
            f"{name}: {row['difference']:.1e} from the checkpoint,"
            f" {row['frames_per_s']:.0f} frames/s, {row['step_ms']:.1f} ms a step"
        )
        # Lossy weights are another model; the format has to be true to that.
        gap = row["difference" if weights == "float32" else "difference_same_weights"]
        if not gap < parity.LIMIT:
            print(
                f"{name} differs by {gap:.1e}, more than {parity.LIMIT}: see {output}/parity.json",
                file=sys.stderr,
            )
    lost = measured["weights"][weights]
    print(f"weights {weights}: {lost['bytes'] / 1e6:.1f} MB, {lost['psnr_db']:.1f} dB")
    print(f"{output}: to publish it, hf upload USER/NAME {output}")
