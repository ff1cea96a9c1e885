import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.media import images
from s2f_jax.bundle import bundle, bundle_runtime, run_tensorflow
from s2f_jax.export import stablehlo
from s2f_jax.export.export import export_bundle
from s2f_jax.inference.animator import Animator
from s2f_jax.models import fused_generator
from tests.programs import ROOT
from tests.tiny_generator import VARIANTS, tiny_example
from tests.wav_files import wav

pytestmark = [
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("tensorflow", "ai_edge_litert"))),
        reason="the extra tensorflow is not installed",
    ),
    pytest.mark.filterwarnings("default"),  # TensorFlow's own.
]
LIMIT = 2e-5

RUN = """
import runpy, sys
for name in ("jax", "s2f_jax", "flax", "onnxruntime"):
    sys.modules[name] = None  # So that it cannot be imported.
sys.path.insert(0, sys.argv[1].rpartition("/")[0])
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def tensorflow_folder(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "tensorflow"
    export_bundle(str(run_folder), str(folder), formats="savedmodel,tflite", weights="float32")
    return folder


def weights_of(generator, variables):
    return bundle.flatten_weights(fused_generator.fuse_weights(generator, variables))


@pytest.mark.parametrize("name", ["savedmodel", "tflite"])
def test_the_format_is_the_checkpoint(tensorflow_folder, name):
    cases = json.loads((tensorflow_folder / "parity.json").read_text())["formats"][name]["cases"]
    assert {(case["batch"], case["frames"]) for case in cases} == {(1, 1), (1, 75), (3, 1), (3, 75)}
    assert all(case["difference"] < 1e-4 for case in cases)


def test_every_file_has_a_checksum_and_names_no_folder_of_this_machine(
    tensorflow_folder, run_folder
):
    sums = (tensorflow_folder / "SHA256SUMS").read_text()
    own = [str(ROOT), str(run_folder.parent)]
    for path in tensorflow_folder.rglob("*.*"):
        name = path.relative_to(tensorflow_folder).as_posix()
        assert f"  {name}\n" in sums
        assert not [each for each in own if each.encode() in path.read_bytes()], name
    files = json.loads((tensorflow_folder / "config.json").read_text())["programs"]
    assert all(f"  {name}\n" in sums for of in files.values() for name in of.values())


@pytest.mark.parametrize("fields", VARIANTS)
def test_the_saved_model_is_the_networks(tmp_path, fields):
    import tensorflow as tf

    from s2f_jax.export import tensorflow_models

    generator, variables, (still, windows, noise), (carry, frames) = tiny_example(2, 7, **fields)
    weights = weights_of(generator, variables)
    tensorflow_models.write_saved_model(generator, weights, tmp_path / "savedmodel")
    loaded = tf.saved_model.load(str(tmp_path / "savedmodel"))  # It lives no longer than its name.
    call = loaded.signatures
    identity = call["identify"](still=tf.constant(still))
    sizes = stablehlo.state_sizes(generator)
    state = {name: tf.zeros((2, size)) for name, size in sizes.items()}
    heard = {"windows": tf.constant(windows), "noise": tf.constant(noise)}
    drawn = call["animate"](**heard, **identity, **state)
    assert np.abs(drawn["frames"] - frames).max() < LIMIT and np.std(frames) > 0.2
    for name, value in stablehlo.carry_to_state(carry).items():
        assert np.abs(drawn[f"next_{name}"] - value).max() < LIMIT
    for t in range(7):
        at = {name: value[:, t] for name, value in heard.items()}
        drawn = call["step"](**at, **identity, **state)
        state = {name: drawn[f"next_{name}"] for name in sizes}
        assert np.abs(drawn["frames"] - frames[:, t]).max() < LIMIT


@pytest.mark.parametrize("fields", [{"copy_path": True}, {"noise_features": 0, "skips": False}])
def test_the_lite_files_are_the_networks_of_lite_operations(fields):
    from ai_edge_litert.interpreter import Interpreter

    from s2f_jax.export import tensorflow_models

    generator, variables, (still, windows, noise), (_, frames) = tiny_example(1, 4, **fields)
    files = tensorflow_models.convert_to_tflite(generator, weights_of(generator, variables))
    made = {name: Interpreter(model_content=data) for name, data in files.items()}
    for interpreter in made.values():  # Which would not start with operations of TensorFlow's.
        assert {each["dtype"] for each in interpreter.get_input_details()} == {np.float32}
    call = {name: interpreter.get_signature_runner(name) for name, interpreter in made.items()}
    identity = call["identify"](still=still)
    sizes = stablehlo.state_sizes(generator)
    state = {name: np.zeros((1, size), np.float32) for name, size in sizes.items()}
    for t in range(4):
        drawn = call["step"](windows=windows[:, t], noise=noise[:, t], **identity, **state)
        state = {name: drawn[f"next_{name}"] for name in sizes}
        assert np.abs(drawn["frames"] - frames[:, t]).max() < LIMIT


@pytest.mark.parametrize("runtime", ["tensorflow", "litert"])
def test_the_bundle_runs_without_jax(tensorflow_folder, run_folder, tmp_path, runtime):
    rng = np.random.default_rng(0)
    still, sound = rng.integers(0, 256, (16, 12, 3), np.uint8), rng.integers(-9999, 9999, 6000)
    (tmp_path / "face.png").write_bytes(images.encode_png(still))
    wav(tmp_path / "speech.wav", sound)
    given = {"image": "face.png", "audio": "speech.wav", "output": "talk.npy"}
    flags = [f"--{name}={tmp_path / value}" for name, value in given.items()]
    program = [str(tensorflow_folder / "run_tensorflow.py"), f"--runtime={runtime}", *flags]
    subprocess.run(
        [sys.executable, "-B", "-c", RUN, *program, "--seed=7"], check=True, cwd=tmp_path
    )
    samples = (sound / 2**15).astype(np.float32)
    expected = Animator.load(run_folder)(still, samples, 16000, seed=7, aligned=True)
    drawn = np.load(tmp_path / "talk.npy").astype(int)
    assert drawn.shape == expected.shape and np.abs(drawn - expected).max() <= 1


def test_a_damaged_saved_model_is_reported(tensorflow_folder, tmp_path):
    import shutil

    folder = shutil.copytree(tensorflow_folder, tmp_path / "bundle")
    path = folder / "savedmodel" / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(bundle_runtime.BundleError, match="saved_model.pb is damaged"):
        bundle_runtime.Bundle(folder, "tensorflow", run_tensorflow.RUNTIMES)


@pytest.mark.parametrize(
    ("program", "message"),
    [("import os; os.abort()", "exit code -6"), ("1 / 0", "ZeroDivisionError: division")],
)
def test_a_converter_that_fails_is_reported(run_folder, tmp_path, monkeypatch, program, message):
    from s2f_jax.export import tensorflow_models

    monkeypatch.setattr(tensorflow_models, "_CONVERT", program)
    with pytest.raises(UserError, match=re.escape(message)):
        export_bundle(str(run_folder), str(tmp_path / "out"), formats="tflite")
    assert list(tmp_path.iterdir()) == []
