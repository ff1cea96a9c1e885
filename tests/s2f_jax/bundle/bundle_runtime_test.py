"""The part of a bundle that runs it, as Python calls it: the package's frames, and its errors."""

import json
import shutil
import sys

import jax
import numpy as np
import pytest
from etils import epath

from data_pipelines.media.sound import OffsetRemover
from s2f_jax import rngs
from s2f_jax.bundle import bundle, bundle_runtime
from s2f_jax.export import stablehlo

RNG = np.random.default_rng(0)
STILL = RNG.integers(0, 256, (16, 12, 3), np.uint8)
SOUND = RNG.uniform(-0.5, 0.5, 20000)


def test_a_batch_of_clips_is_generated(bundle_folder, animator):
    loaded = bundle_runtime.Bundle(bundle_folder)
    stills, sounds = np.stack([STILL, 255 - STILL]), SOUND.reshape(2, -1).astype(np.float32)
    drawn = list(loaded.generate_frames(stills, sounds, (1, 2), chunk_frames=7))
    assert [part.shape[:2] for part in drawn] == [(2, 7), (2, 7), (2, 2)]
    for i, clip in enumerate(np.concatenate(drawn, axis=1)):
        alone = animator(stills[i], sounds[i], 16000, seed=i + 1, aligned=True, raw=True)
        assert np.abs(clip - alone).max() < 1e-4


@pytest.mark.parametrize("samples", [1, 255, 256, 257, 20000])
def test_an_offset_is_removed_as_elsewhere(samples):
    audios = np.float32(SOUND[None, :samples] + 0.2)
    expected = OffsetRemover(16000, 1600)(audios, last=True)
    np.testing.assert_allclose(
        bundle_runtime.remove_offset(audios, 16000, 1600), expected, atol=1e-6
    )


@pytest.mark.parametrize("seed", [0, 5, 2**32 - 1])
def test_the_noise_equals_that_of_rngs(seed):
    root = rngs.key(jax.random.key(seed), "noise")
    expected = rngs.frame_noise(root, 500, 10, 0.33, 3)
    np.testing.assert_allclose(
        bundle_runtime._frame_noise(seed, 3, 500, 10, 0.33), expected, atol=1e-6
    )


@pytest.mark.parametrize("name", ["step.stablehlo", "model.safetensors"])
def test_a_damaged_file_is_reported(bundle_folder, tmp_path, name):
    copy = shutil.copytree(bundle_folder, tmp_path / "bundle")
    data = bytearray((copy / name).read_bytes())
    data[100] ^= 4
    (copy / name).write_bytes(data)
    with pytest.raises(bundle_runtime.BundleError, match=f"{name} is damaged"):
        bundle_runtime.Bundle(copy)


@pytest.mark.parametrize("name", ["arrange", "identify", "animate", "step"])
@pytest.mark.parametrize("onnx", [True, False])
def test_a_newer_jax_s_program_ends_in_a_sentence(bundle_folder, tmp_path, name, onnx):
    """Of which some is raised when it is read, and some at the first call only."""
    copy = shutil.copytree(bundle_folder, tmp_path / "bundle")
    program = (copy / f"{name}.stablehlo").read_bytes()
    assert f"StableHLO_v{stablehlo.STABLEHLO_VERSION}".encode() in program  # Which all jax read.
    newer = program.replace(b"func_v1", b"func_v7")  # A version of an operation that none knows.
    assert newer != program
    (copy / f"{name}.stablehlo").write_bytes(newer)
    if not onnx:
        config = json.loads((copy / "config.json").read_text())
        del config["programs"]["onnx"]
        (copy / "config.json").write_text(json.dumps(config))
    bundle.write_checksums(epath.Path(copy))
    another = "use --runtime=onnx" if onnx else "export again with ONNX"
    said = rf"jax {jax.__version__} cannot run {name}.stablehlo .*: {another}.*, or install jax"
    frames = 1 if name == "step" else 2
    with pytest.raises(bundle_runtime.BundleError, match=said):
        bundle_runtime.Bundle(copy)(STILL, np.zeros(frames * 640, np.float32))


def test_an_error_of_jax_without_a_text_is_named_by_its_kind(bundle_folder, monkeypatch):
    def unknown(data):
        raise NotImplementedError

    monkeypatch.setattr("jax.export.deserialize", unknown)
    with pytest.raises(bundle_runtime.BundleError, match=r"stablehlo \(NotImplementedError\): use"):
        bundle_runtime.Bundle(bundle_folder)


def test_a_runtime_that_is_not_installed_is_reported(bundle_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        bundle_runtime.BundleError, match="--runtime=onnx: onnxruntime is not installed"
    ):
        bundle_runtime.Bundle(bundle_folder, "onnx")


def test_a_format_that_was_not_exported_is_reported(bundle_folder, tmp_path):
    copy = shutil.copytree(bundle_folder, tmp_path / "bundle")
    config = json.loads((copy / "config.json").read_text())
    del config["programs"]["onnx"]
    (copy / "config.json").write_text(json.dumps(config))
    bundle.write_checksums(copy)
    with pytest.raises(bundle_runtime.BundleError, match="must be exported with --formats=onnx"):
        bundle_runtime.Bundle(copy, "onnx")
