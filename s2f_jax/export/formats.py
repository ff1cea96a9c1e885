"""The formats that a generator can be exported in."""

from typing import NamedTuple


class Format(NamedTuple):
    """One format of a bundle's programs.

    Attributes:
      package: The package that runs it.
      runner: The program of the bundle that uses the package.
      runtime: The runner's --runtime.
      programs: Files in the bundle, by what each holds.
      requires: Packages that the export needs.
      extra: The extra of s2f_jax that installs them.
    """

    package: str
    runner: str
    runtime: str
    programs: dict[str, str]
    requires: tuple[str, ...] = ()
    extra: str = ""


def _files(suffix: str, *programs: str) -> dict[str, str]:
    return {program: f"{program}.{suffix}" for program in programs}


FORMATS = {
    "stablehlo": Format(
        *("jax", "run_bundle.py", "jax"),
        _files("stablehlo", "arrange", "identify", "animate", "step"),
    ),
    "onnx": Format(
        *("onnxruntime", "run_bundle.py", "onnx"),
        _files("onnx", "identity", "audio_step", "decode"),
        *(("onnx", "onnxruntime"), "export"),
    ),
    "savedmodel": Format(
        *("tensorflow", "run_tensorflow.py", "tensorflow"),
        {
            "graph": "savedmodel/saved_model.pb",
            "index": "savedmodel/variables/variables.index",
            "variables": "savedmodel/variables/variables.data-00000-of-00001",
        },
        *(("tensorflow",), "tensorflow"),
    ),
    "tflite": Format(
        *("ai-edge-litert", "run_tensorflow.py", "litert"),
        _files("tflite", "identify", "step"),
        *(("tensorflow", "ai_edge_litert"), "tensorflow"),
    ),
}
