"""Checkpoints: sums that notice everything, the best one, and a disk that is full."""

import gc
import json
import resource
import shutil
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.common.errors import TrainingFailed, UserError
from s2f_jax import sharding
from s2f_jax.runs import checkpoint
from s2f_jax.runs.checkpoint import Checkpoints, checksum, host_checksum
from s2f_jax.state import TrainState

VALUES = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)


def state_of(step, values=VALUES):
    return TrainState(jnp.int32(step), {"generator": jnp.asarray(values)}, {}, {})


def test_a_checksum_notices_every_bit_and_every_exchange():
    sums = {int(checksum(VALUES))}
    for bit in range(32):
        other = VALUES.copy()
        other.view(np.uint32)[3, 2] ^= np.uint32(1 << bit)
        sums.add(int(checksum(other)))
    for a, b in ((0, 1), (5, 47), (12, 40)):
        other = VALUES.copy()
        other.flat[[a, b]] = other.flat[[b, a]]
        sums.add(int(checksum(other)))
    assert len(sums) == 1 + 32 + 3


@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 4, 5), (400, 500), (2, 70000)])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint32])
def test_a_checksum_is_the_same_in_memory_and_on_a_device(shape, dtype):
    values = (1e5 * np.random.default_rng(0).normal(size=shape)).astype(dtype)
    assert host_checksum(values) == int(checksum(jnp.asarray(values)))


def test_a_checksum_is_the_same_however_an_array_is_split():
    mesh = sharding.mesh()
    split = jax.device_put(VALUES, sharding.by_example(mesh))
    assert not split.is_fully_replicated
    assert checksum(split) == checksum(VALUES)


def test_the_best_is_known_to_whoever_opens_the_folder(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step, score in ((1, 20.0), (2, 22.0), (3, float("nan")), (4, 21.0), (5, None)):
        checkpoints.save(state_of(step), {}, {}, score)
    assert (checkpoints.latest(), checkpoints.best()) == (5, 2)
    checkpoints.close()
    again = Checkpoints(tmp_path)
    assert (again.latest(), again.best()) == (5, 2)
    again.save(state_of(6), {}, {}, 21.5)
    assert again.best() == 2
    again.close()
    assert {p.name for p in (tmp_path / "checkpoints").iterdir()} == {"2", "5", "6"}


def test_a_step_is_replaced_by_its_scored_one_and_never_lost(tmp_path, monkeypatch):
    """Killed between the two, the first is brought back; without a score it is not written again."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state_of(1), {}, {}, None)
    checkpoints.close()
    first = (tmp_path / "checkpoints/1/sums/metadata").stat().st_mtime_ns
    checkpoints = Checkpoints(tmp_path)
    _, state, *_ = checkpoints.restore_newest(state_of(0))
    checkpoints.save(state, {}, {}, None)
    checkpoints.wait()
    assert (tmp_path / "checkpoints/1/sums/metadata").stat().st_mtime_ns == first

    class Killed(BaseException):
        pass

    def killed(*args, **kwargs):
        raise Killed

    monkeypatch.setattr(checkpoints._manager, "save", killed)
    with pytest.raises(Killed):
        checkpoints.save(state, {}, {}, 20.0)
    assert not (tmp_path / "checkpoints/1").exists()
    again = Checkpoints(tmp_path)
    assert again.latest() == 1
    again.save(state, {}, {}, 20.0)
    again.close()
    checkpoints.close()
    intact(tmp_path, 1)
    assert json.loads((tmp_path / "checkpoints/1/progress/metadata").read_text()) == {
        "score": 20.0,
        "other_scores": {},
    }


def intact(folder, step):
    checkpoints = Checkpoints(folder, read_only=True)
    (number, state, *_) = checkpoints.restore_newest(state_of(0)) or (None, None)
    assert number == step
    np.testing.assert_array_equal(state.params["generator"], VALUES)
    checkpoints.close()


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state_of(1), {}, {}, None)
    checkpoints.close()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=100))
    with pytest.raises(TrainingFailed, match=r"step 1 could not.*196 bytes, 100 are free.*step 1$"):
        Checkpoints(tmp_path).save(state_of(1), {}, {}, 20.0)
    intact(tmp_path, 1)


# Orbax leaves the tasks it had started behind when one of them fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_save_that_breaks_off_leaves_the_one_before(tmp_path):
    """No file may grow beyond a page: as a disk that fills up while a checkpoint is written."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state_of(1), {}, {}, None)
    checkpoints.close()
    checkpoints = Checkpoints(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        large = np.random.default_rng(1).normal(size=(100, 100))
        with pytest.raises(TrainingFailed, match="step 2 could not be saved.*from step 1$"):
            checkpoints.save(state_of(2, large), {}, {}, None)
            checkpoints.close()
        checkpoints.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    intact(tmp_path, 1)
    gc.collect()  # So that they do not trouble the tests that follow.


# Orbax leaves the tasks it had started behind when one of them fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_flipped_bytes_are_never_a_network_s_weights(run_folder, tmp_path):
    """In every file of the state, at several places: told, or the weights are what they were."""
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    whole = checkpoint.restore_variables(folder, 3, "generator")
    files = [p for p in (folder / "checkpoints" / "3" / "state").rglob("*") if p.is_file()]
    told, rng = 0, np.random.default_rng(0)
    for path in files:
        content = path.read_bytes()
        for at in rng.integers(len(content), size=3) if content else ():
            path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
            try:
                after = checkpoint.restore_variables(folder, 3, "generator")
            except UserError as error:
                assert "damaged" in str(error)
                told += 1
            else:
                jax.tree.map(np.testing.assert_array_equal, after, whole)
        path.write_bytes(content)
    assert told
    sums = folder / "checkpoints" / "3" / "sums" / "metadata"
    altered = json.loads(sums.read_text())
    name = next(key for key in altered if key.startswith(".params['generator']"))
    sums.write_text(json.dumps(altered | {name: altered[name] ^ 1}))
    with pytest.raises(UserError, match="has other numbers than were saved in .params"):
        checkpoint.restore_variables(folder, 3, "generator")
    gc.collect()  # So that they do not trouble the tests that follow.
