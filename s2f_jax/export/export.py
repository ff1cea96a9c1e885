"""`export`: writes a checkpoint's generator as a bundle, a folder that runs without this code."""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import sys
import wave
from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from etils import epath

from data_pipelines.common.errors import UserError
from data_pipelines.media import images
from s2f_jax.bundle import bundle, bundle_runtime, shipped
from s2f_jax.config import schema
from s2f_jax.export import model_card, parity, stablehlo
from s2f_jax.export.formats import FORMATS
from s2f_jax.export.parity import Example
from s2f_jax.inference.animator import Animator
from s2f_jax.models import fused_generator, networks
from s2f_jax.models.generator import Generator
from s2f_jax.provenance import marks
from s2f_jax.runs import output_folder, restore, workdir
from s2f_jax.runs.restore import Trained


def export_bundle(
    checkpoint: str,
    output: str,
    formats: str = "stablehlo",
    weights: str = "float32",
    image: str | None = None,
    audio: str | None = None,
    aligned: bool = False,
    licence: str = model_card.UNKNOWN_LICENCE,
    example: bool = False,
    notice: str = "",
) -> None:
    """Writes a bundle and measures its difference from the checkpoint.

    Args:
      checkpoint: A workdir or a checkpoint step's folder.
      output: The folder to write, new or empty; it appears complete or not at all.
      formats: Some of formats.FORMATS, with commas; or "none", for the weights alone.
      weights: One of bundle.WEIGHT_TYPES.
      image: A portrait to compare on beside noise; default a drawn face.
      audio: The audio for it; default a synthetic voice.
      aligned: Whether the image is a crop of the model's size.
      licence: Licence of the weights, the hub's identifier.
      example: Whether the face crop and the audio go into the bundle, as its example.
      notice: A sentence on what the model is for, shown with any picture but the example.

    Raises:
      UserError: A mistake of the user; nothing is written then.
    """
    chosen = _parse_formats(formats)
    if weights not in bundle.WEIGHT_TYPES:
        types = ", ".join(bundle.WEIGHT_TYPES)
        raise UserError(f"--weights={weights}: must be one of {types}")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence):
        raise UserError(f"--license={licence}: must be an identifier such as apache-2.0")
    if example and not (image and audio):
        raise UserError("--example puts --image and --audio into the bundle: give both")
    target = output_folder.require_empty_output_dir(output)
    trained = restore.restore_generator(shipped.resolve(checkpoint))
    # Programs are float32 whatever the run computes in; a device may be asked for less.
    model = {**trained.config.model, "dtype": "float32"}
    generator = networks.generator(trained.config.data, model)
    fused = bundle.flatten_weights(fused_generator.fuse_weights(generator, trained.variables))
    examples = [parity.noise_example(generator)]
    examples += _extra_example(trained, generator, image, audio, aligned)
    with output_folder.atomic_directory(target) as folder:
        config = _config(trained, generator, chosen, weights)
        config |= {"example": example, "notice": notice}
        stored = bundle.to_safetensors(bundle.convert_weights(fused, weights))
        (folder / bundle.WEIGHTS_FILE).write_bytes(stored)
        _write_programs(folder, generator, chosen, stored)
        _write_json(folder / bundle.CONFIG_FILE, config)
        _copy_runners(folder, chosen)
        if example:
            _write_example(folder, examples[-1], generator.audio_rate)
        bundle.write_checksums(folder)
        print("comparing each format with the checkpoint")
        runtimes = {name: FORMATS[name].runtime for name in chosen}
        report = parity.measure_parity(
            folder, generator, trained.variables, fused, runtimes, examples
        )
        _write_json(folder / "parity.json", report)
        parameters = sum(value.size for value in fused.values())
        card = model_card.render_card(config, report, parameters, trained.workdir, licence)
        (folder / "README.md").write_text(card)
        bundle.write_checksums(folder)
    _print_summary(output, report, weights)


def _parse_formats(formats: str) -> list[str]:
    if formats == "none":
        return []
    chosen = [name for name in FORMATS if name in formats.split(",")]
    if unknown := sorted(set(formats.split(",")) - set(FORMATS)):
        raise UserError(
            f"--formats: {unknown[0]!r} is not one of the formats: give some of {', '.join(FORMATS)}, or"
            " none"
        )
    for name in chosen:
        for package in FORMATS[name].requires:
            if not importlib.util.find_spec(package):
                remedy = f"pip install 's2f_jax[{FORMATS[name].extra}]'"
                if package == "tensorflow" and sys.version_info >= (3, 14):
                    remedy = "export with Python 3.13, since it has no release for a later one"
                raise UserError(f"--formats={name} needs {package}: {remedy}")
    return chosen


def _extra_example(
    trained: Trained,
    generator: Generator,
    image: str | None,
    audio: str | None,
    aligned: bool,
) -> list[Example]:
    # The example to compare on beside noise; none where it cannot be made.
    if bool(image) != bool(audio):
        raise UserError("--image and --audio go together: give both, or neither")
    if image and audio:
        animator = Animator.from_checkpoint(trained)
        description = f"{epath.Path(image).name} under {epath.Path(audio).name}"
        still = animator.prepare_still(image, aligned)
        return [Example(description, still, animator.prepare_audio(audio))]
    try:
        return [parity.synthetic_example(generator)]
    except UserError as error:
        print(f"the parity report compares on noise alone: {error}", file=sys.stderr)
        return []


def _config(
    trained: Trained, generator: Generator, formats: list[str], weights: str
) -> dict[str, Any]:
    # The content of config.json: sizes for the programs, and the run's sections for Animator.
    g = generator
    made_with = workdir.describe(trained.config.seed)
    return {
        "format_version": bundle_runtime.FORMAT_VERSION,
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
        "programs": {name: FORMATS[name].programs for name in formats},
        "source": marks.model_identity(trained.folder),
        "made_with": {**made_with["versions"], "git": made_with["git"]},
        "data": bundle.portable_section(trained.config.data),
        "model": bundle.portable_section(trained.config.model),
    }


def _write_programs(
    folder: epath.Path, generator: Generator, formats: list[str], safetensors: bytes
) -> None:
    contents: dict[str, bytes] = {}
    if "stablehlo" in formats:
        for name, program in stablehlo.export_programs(generator).items():
            contents[f"{name}.stablehlo"] = program
        # jax needs this package to read programs and does not depend on it: Python alone, 60 kB.
        package = pathlib.Path(flatbuffers.__file__).parent
        (folder / package.name).mkdir()
        for path in sorted(package.glob("*.py")):
            contents[f"{package.name}/{path.name}"] = path.read_bytes()
    if "onnx" in formats:
        from s2f_jax.export import onnx_graphs

        for name, graph in onnx_graphs.build_graphs(generator, safetensors).items():
            contents[f"{name}.onnx"] = graph.SerializeToString()
    if {"savedmodel", "tflite"} & set(formats):
        from s2f_jax.export import tensorflow_models

        widened = bundle_runtime.parse_safetensors(safetensors)  # TensorFlow's are float32.
        if "savedmodel" in formats:
            tensorflow_models.write_saved_model(generator, widened, folder / "savedmodel")
        if "tflite" in formats:
            for name, program in tensorflow_models.convert_to_tflite(generator, widened).items():
                contents[f"{name}.tflite"] = program
    for name, data in contents.items():
        (folder / name).write_bytes(data)


def _copy_runners(folder: epath.Path, formats: list[str]) -> None:
    # run_tensorflow.py imports run_bundle.py; without a format there is nothing to run.
    if not formats:
        return
    names = {"bundle_runtime.py", "run_bundle.py", *(FORMATS[name].runner for name in formats)}
    for name in names:
        shutil.copyfile(pathlib.Path(bundle_runtime.__file__).with_name(name), folder / name)


def _write_example(folder: epath.Path, example: Example, rate: int) -> None:
    (folder / shipped.STILL_FILE).write_bytes(images.encode_png(example.still))
    samples = np.rint(32767 * np.clip(example.audio, -1, 1)).astype("<i2")
    with wave.open(os.fspath(folder / shipped.SPEECH_FILE), "wb") as file:
        file.setparams((1, 2, rate, len(samples), "NONE", ""))
        file.writeframes(samples.tobytes())


def _write_json(path: epath.Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def _print_summary(output: str, report: Mapping[str, Any], weights: str) -> None:
    for name, row in report["formats"].items():
        print(
            f"{name}: {row['difference']:.1e} from the checkpoint,"
            f" {row['frames_per_s']:.0f} frames/s, {row['step_ms']:.1f} ms a step"
        )
        # Lossy weights are another model, and a format must reproduce that one.
        gap = row["difference" if weights == "float32" else "difference_same_weights"]
        if not gap < parity.TOLERANCE:
            print(
                f"{name} differs by {gap:.1e}, more than {parity.TOLERANCE}: see"
                f" {output}/parity.json",
                file=sys.stderr,
            )
    loss = report["weights"][weights]
    print(f"weights {weights}: {loss['bytes'] / 1e6:.1f} MB, {loss['psnr_db']:.1f} dB")
    print(f"{output}: to publish it, hf upload USER/NAME {output}")
