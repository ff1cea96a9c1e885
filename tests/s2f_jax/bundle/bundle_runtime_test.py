"""The part of a bundle that runs it, as Python calls it: the package's frames, and its errors."""

import json
import shutil
import sys

import jax
import numpy as np
import pytest

from s2f_jax import rngs
from s2f_jax.bundle import bundle, bundle_runtime

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
