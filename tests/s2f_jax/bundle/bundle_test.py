import json
import shutil

import jax
import numpy as np
import pytest
import safetensors

from data_pipelines.common.errors import UserError
from s2f_jax.bundle import bundle, bundle_runtime
from s2f_jax.inference.animator import Animator
from s2f_jax.models import fused_generator, networks
from s2f_jax.runs import workdir
from s2f_jax.runs.restore import find_checkpoint
from tests.tiny_generator import tiny_config, tiny_state

RNG = np.random.default_rng(0)
STILL = RNG.integers(0, 256, (16, 12, 3), np.uint8)
SOUND = RNG.uniform(-0.5, 0.5, 30000).astype(np.float32)


@pytest.fixture(scope="module")
def weights():
    config = tiny_config()
    generator = networks.generator(config.data, config.model)
    return fused_generator.fuse_weights(generator, tiny_state(config).variables("generator"))


def test_unflattening_inverts_flattening(weights):
    named = bundle.flatten_weights(weights)
    assert named["frame_decoder.stages.0.mix.kernel"].shape == (3, 3, 8, 8)
    there_and_back = bundle.unflatten_weights(named)
    assert jax.tree.structure(there_and_back) == jax.tree.structure(weights)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, there_and_back, weights)))


@pytest.mark.parametrize("kind", bundle.WEIGHT_TYPES)
def test_others_read_the_same_weights(weights, kind):
    stored = bundle.convert_weights(bundle.flatten_weights(weights), kind)
    data = bundle.to_safetensors(stored)
    read = dict(safetensors.deserialize(data))
    assert read.keys() == stored.keys()
    types = {"float32": "F32", "bfloat16": "BF16", "int8": "I8"}
    for name, value in stored.items():
        assert read[name]["dtype"] == types[str(value.dtype)]
        assert tuple(read[name]["shape"]) == value.shape
        assert bytes(read[name]["data"]) == value.tobytes()
    own = bundle_runtime.parse_safetensors(data)
    for name, value in own.items():
        exact = stored[name].astype(np.float32) * stored.get(f"{name}.scale", 1)
        np.testing.assert_array_equal(value, exact)
        assert value.dtype == np.float32


def test_int8_is_whole_numbers_times_a_scale_a_channel():
    kernel = np.array([[1, -2, 0], [0.5, 4, 0]], np.float32)
    stored = bundle.convert_weights({"kernel": kernel, "bias": np.ones(3, np.float32)}, "int8")
    np.testing.assert_array_equal(stored["kernel"], [[127, -64, 0], [64, 127, 0]])
    np.testing.assert_allclose(stored["kernel.scale"], [1 / 127, 4 / 127, 1], rtol=1e-6)
    np.testing.assert_array_equal(stored["bias"], np.ones(3))


def test_no_weight_moves_further_than_its_type_rounds(weights):
    named = bundle.flatten_weights(weights)
    half = bundle_runtime.parse_safetensors(
        bundle.to_safetensors(bundle.convert_weights(named, "bfloat16"))
    )
    whole = bundle_runtime.parse_safetensors(
        bundle.to_safetensors(bundle.convert_weights(named, "int8"))
    )
    for name, value in named.items():
        assert (np.abs(half[name] - value) <= 2.0**-8 * np.abs(value)).all()
        largest = np.abs(value).max(axis=tuple(range(value.ndim - 1)))
        assert (np.abs(whole[name] - value) <= largest / 254 * 1.001).all()


def test_a_bundle_gives_the_frames_of_its_run(bundle_folder, animator):
    """Bit for bit: the weights are the same, and so is what is computed from them."""
    loaded = Animator.load(bundle_folder)
    options = {"aligned": True, "seed": 5, "raw": True}
    np.testing.assert_array_equal(
        loaded(STILL, SOUND, 22050, **options), animator(STILL, SOUND, 22050, **options)
    )
    assert (loaded.rate, loaded.size, loaded.fps) == (animator.rate, animator.size, animator.fps)


def test_a_bundle_streams(bundle_folder, animator):
    stream = Animator.load(bundle_folder).stream(STILL, aligned=True, seed=5)
    drawn = [stream.push(piece) for piece in np.split(SOUND, [7, 5000, 5001, 20000])]
    offline = animator(STILL, SOUND, 16000, aligned=True, seed=5)
    drawn = np.concatenate([*drawn, stream.flush()])
    assert drawn.shape == offline.shape and np.abs(drawn.astype(int) - offline).max() <= 1


def test_only_a_run_has_checkpoints(bundle_folder):
    with pytest.raises(UserError, match="is an exported bundle: give the workdir"):
        find_checkpoint(bundle_folder)
    with pytest.raises(UserError, match="is an exported bundle: give the workdir"):
        workdir.open_workdir(tiny_config(), bundle_folder)


@pytest.fixture
def copy(bundle_folder, tmp_path):
    return shutil.copytree(bundle_folder, tmp_path / "bundle")


def load_error(folder):
    with pytest.raises(UserError) as error:
        Animator.load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_reported(copy, name):
    (copy / name).unlink()
    assert f"{name}: No such file or directory; copy the bundle again" in load_error(copy)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_flipped_bit_is_reported(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    assert f"{name} is damaged" in load_error(copy)


def test_missing_checksums_are_reported(copy):
    (copy / "SHA256SUMS").unlink()
    assert "no checksum of config.json; copy the bundle again" in load_error(copy)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format_version", 2, "is of format 2 and this program reads 1: use"),
        ("schema", 99, "has schema 99 and this version reads"),
    ],
)
def test_another_format_is_reported(copy, field, value, message):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {field: value}))
    bundle.write_checksums(copy)
    assert message in load_error(copy)


def test_a_missing_field_is_reported(copy):
    config = json.loads((copy / "config.json").read_text())
    del config["model"]["width"]
    (copy / "config.json").write_text(json.dumps(config))
    bundle.write_checksums(copy)
    assert "lacks the field width: use the version of s2f_jax that it names" in load_error(copy)


@pytest.mark.parametrize("text", ["[]", "null", "{}", "no JSON", '"a"'])
def test_a_config_of_something_else_is_reported(copy, text):
    (copy / "config.json").write_text(text)
    bundle.write_checksums(copy)
    assert "config.json is not a bundle's config: export the run again" in load_error(copy)


def test_other_sizes_are_reported(copy):
    config = json.loads((copy / "config.json").read_text())
    config["model"]["id_features"] = 9
    (copy / "config.json").write_text(json.dumps(config))
    bundle.write_checksums(copy)
    message = "frame_decoder.start.kernel is (18, 96) instead of (19, 96); export"
    assert message in load_error(copy)


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\x02" + bytes(7) + b"[]", b"no weights"])
def test_invalid_weights_are_reported(copy, data):
    (copy / "model.safetensors").write_bytes(data)
    bundle.write_checksums(copy)
    assert "model.safetensors cannot be read" in load_error(copy)


def test_a_section_leaves_this_machines_paths_behind():
    config = tiny_config()
    config.data.dir = "/home/someone/shards"
    config.data.options.csv = "gs://bucket/list.csv"
    section = bundle.portable_section(config.data)
    assert (section["dir"], section["options"]["csv"]) == ("shards", "list.csv")
    assert section["height"] == 16
