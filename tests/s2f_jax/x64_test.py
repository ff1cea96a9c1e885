"""A process with JAX's 64-bit types on keeps them, and the networks compute in their own type."""

import functools
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from s2f_jax import Animator, optim, step, train
from s2f_jax.bundle import bundle_runtime
from s2f_jax.models import networks
from s2f_jax.tasks import lipread, sync
from tests.tiny_generator import tiny_config, tiny_run, tiny_state

ROOT = pathlib.Path(__file__).parents[2]
RNG = np.random.default_rng(0)
STILL = RNG.integers(0, 256, (16, 12, 3), np.uint8)
SOUND = RNG.uniform(-0.5, 0.5, 16000).astype(np.float32)
BATCH = {
    "frames": RNG.integers(0, 256, (2, 10, 16, 12, 3), np.uint8),
    "still": RNG.integers(0, 256, (2, 16, 12, 3), np.uint8),
    "audio": RNG.integers(-9999, 9999, (2, 9 * 40 + 60), np.int16),
    "mask": np.arange(10) < np.array([[10], [7]]),
    "example_index": np.arange(2, dtype=np.uint32),
    "letters": np.array([[1, 2, 3], [4, 5, -1]], np.int32),
}


def drawn(run, bundle):
    """Frames of the Python API, of a stream, of a bundle, and of the bundle's own program."""
    animator = Animator.load(run)
    stream = animator.stream(STILL, 16000, aligned=True, seed=3)
    pieces = [*map(stream.push, np.split(SOUND, 10)), stream.flush()]
    options = {"aligned": True, "raw": True, "seed": 3}
    return {
        "animator": animator(STILL, SOUND, 16000, **options),
        "stream": np.concatenate(pieces),
        "bundle": Animator.load(bundle)(STILL, SOUND, 16000, **options),
        "runtime": bundle_runtime.Bundle(pathlib.Path(bundle))(STILL, SOUND, seed=3),
    }


def learned():
    """The state after a step of each task from its own start, and what it logs."""
    config = tiny_config()
    config.data.audio_rate, config.model.window = 1000, 0.06
    config.model.update(context_features=4, id_features=4)
    config.discriminators.frame.width = 4
    config.discriminators.sequence.update(width=4, audio_width=2, features=4)
    config.discriminators.sync.update(width=4, audio_width=2, features=4, weight=1.0)
    config.lipreader.update(height=16, width=24, features=3)
    config.lipreader.widths = (2, 2, 4)
    config.sync_network.update(features=4, width=4, audio_width=2)
    built = networks.build(config.data, config.model, config.discriminators, config.loss)
    rates = {name: optim.epoch_decay(1e-3, 1, 0, 0.5) for name in built.by_name()}
    tx, weights = optim.multi_adam(rates, 0.5, 0.999), dict.fromkeys(built.discriminators, 1.0)
    fields = {"weights": weights | {"reconstruction": 100.0}, "reconstruction_top": 0.5}
    fields |= {"accumulate": 1, "keep_activations": "all", "adversarial": True}
    steps = {"animate": functools.partial(step.train_step, networks=built, tx=tx, **fields)}
    starts = {"animate": functools.partial(step.init, built, tx)}
    tasks = {
        "lipread": (lipread.LipReadTask, "words_right"),
        "sync": (sync.SyncTask, "clips_right"),
    }
    for name, (task_class, config.best_by) in tasks.items():
        task = task_class(config)
        tx = optim.multi_adam(task.schedules(1), 0.9, 0.999)
        starts[name], steps[name] = functools.partial(task.init, tx), task.step(tx, False)
    batches = {
        "animate": BATCH,
        "lipread": BATCH | {"frames": np.repeat(BATCH["frames"], 2, axis=3)},
        "sync": BATCH | {"audio": np.pad(BATCH["audio"], ((0, 0), (70, 70)))},
    }
    made = {}
    for name, update in steps.items():
        state = jax.jit(starts[name])(jax.random.key(0))
        made[name] = jax.jit(update)(state, batches[name], jax.random.key(1))
    leaves, _ = jax.tree.flatten_with_path(made)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def main(x64, output, function, *arguments):
    """Writes what a process makes that has set the 64-bit types itself."""
    jax.config.update("jax_enable_x64", x64 == "on")
    np.savez(output, **globals()[function](*arguments))
    assert jnp.arange(1.0).dtype == (np.float64 if x64 == "on" else np.float32)


def off_and_on(folder, *arguments):
    """What a function makes in a process without the 64-bit types, and in one with them."""
    code = "import sys; from tests.s2f_jax import x64_test; x64_test.main(*sys.argv[1:])"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for x64 in ("off", "on"):
        command = [sys.executable, "-c", code, x64, folder / f"{x64}.npz", *arguments]
        subprocess.run([*map(str, command)], check=True, env=environment)
    return [dict(np.load(folder / f"{x64}.npz")) for x64 in ("off", "on")]


def test_frames_are_the_same(run_folder, bundle_folder, tmp_path):
    off, on = off_and_on(tmp_path, "drawn", run_folder, bundle_folder)
    for name in ("stream", "runtime"):
        assert abs(on[name].astype(int) - off[name]).max() <= 1
    for name in ("animator", "bundle"):
        assert on[name].dtype == np.float32 and abs(on[name] - off[name]).max() < 1e-5


@pytest.mark.slow
def test_training_steps_are_the_same(tmp_path):
    off, on = off_and_on(tmp_path, "learned")
    assert off.keys() == on.keys() and len(off) > 100
    for name, value in off.items():
        np.testing.assert_allclose(on[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
        assert on[name].dtype == value.dtype, name


def test_building_networks_leaves_the_64_bit_types_as_they_are():
    for x64 in (False, True):
        with jax.enable_x64(x64):
            for dtype in ("float32", "bfloat16", "float64"):
                config = tiny_config()
                config.model.dtype = dtype
                built = networks.build(
                    config.data, config.model, config.discriminators, config.loss
                )
                assert bool(jax.config.read("jax_enable_x64")) == x64
                wide = dtype == "float64" and x64
                leaves = jax.tree.leaves(networks.variables(built.generator)["params"])
                kernels = {leaf.dtype for leaf in leaves if leaf.ndim == 4}
                assert kernels == {np.dtype(np.float64 if wide else np.float32)}


def test_a_run_in_float64_animates_in_float32(tmp_path):
    """Unless JAX's 64-bit types are on; its checksums are those of its own numbers."""
    config = tiny_config()
    config.model.dtype = "float64"
    state, (still, sound) = tiny_state(config), (STILL, SOUND[:4000])
    drawn = []
    for x64 in (True, False):
        with jax.enable_x64(x64):
            if x64:
                wide = {
                    k: jax.tree.map(np.float64, getattr(state, k))
                    for k in ("params", "batch_stats")
                }
                tiny_run(tmp_path, config, jax.tree.map(jnp.asarray, state.replace(**wide)))
            animator = Animator.load(tmp_path)
            assert animator.generator.dtype == (np.float64 if x64 else np.float32)
            drawn.append(animator(still, sound, 16000, aligned=True, raw=True))
    assert drawn[1].dtype == np.float32 and abs(drawn[0] - drawn[1]).max() < 1e-5


def test_float64_is_not_float32_in_silence():
    config = tiny_config()
    config.model.dtype = "float64"
    assert networks.generator(config.data, config.model).dtype == np.float32
    with pytest.raises(UserError, match='jax.config.update\\("jax_enable_x64", True\\)'):
        train.train(config, "unused", None)
