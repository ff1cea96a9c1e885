"""One device or many, one process or several, the state whole or split: the same numbers."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from data_pipelines import prepare
from tests import tiny
from tests.programs import ROOT

SPLIT = "--config.split_state=True"
# Large enough for some leaves to be split, and for the CPU's own forms of convolutions.
WIDE = [
    "--config.model.width=32",
    "--config.discriminators.frame.width=8",
    "--config.discriminators.sequence.width=8",
    "--config.discriminators.sync.weight=1",
    "--config.discriminators.sync.width=8",
]
# How many processes, devices of each, and flags.
TOPOLOGIES = {
    "one": (1, 1, []),
    "four": (1, 4, []),
    "four_split": (1, 4, [SPLIT]),
    "two_by_two": (2, 2, []),
    "two_by_two_split": (2, 2, [SPLIT]),
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    prepare.prepare(tiny.get_config().data, None, folder)
    return folder


def start(topology, shards, workdir, epochs, dtype="float64", *flags):
    processes, devices, of_topology = TOPOLOGIES[topology]
    arguments = ["--config=tests/tiny.py", f"--data_dir={shards}", f"--workdir={workdir}", *WIDE]
    arguments += [f"--config.max_epochs={epochs}", f"--config.model.dtype={dtype}"]
    arguments += ["--config.sample_clips=0", *of_topology, *flags]
    xla = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    environment = {**os.environ, "PYTHON": sys.executable, "JAX_PLATFORMS": "cpu"}
    if processes == 1:
        command = [sys.executable, "-m", "s2f_jax.main", *arguments]
        xla += f" --xla_force_host_platform_device_count={devices}"
    else:
        command = ["launch/local_cluster.sh", str(processes), *arguments]
        environment["DEVICES"] = str(devices)
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment | {"XLA_FLAGS": xla},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process, code=0):
    said, _ = process.communicate()
    assert process.returncode == code, said
    return said


def losses(workdir):
    """Every number of every step but those of the clock."""
    rows = {}
    for line in (workdir / "metrics.jsonl").read_text().splitlines():
        event = json.loads(line)
        rows.setdefault(event["step"], {}).update(
            {k: v for k, v in event.items() if not k.endswith(("_per_s", "_percent", "_gb"))}
        )
    return rows


def agree(ours, theirs, steps, tolerance):
    assert list(ours) == list(theirs)
    for number in range(1, steps + 1):
        assert ours[number].keys() == theirs[number].keys()
        for name, value in ours[number].items():
            # L1's gradient is a sign, which flips where float32 rounds to the other side of zero.
            signs = 10 if name == "generator/gradient_norm" and tolerance > 1e-7 else 1
            scored = 1e-6 if name.startswith("validation/") else 0  # In float32, in any run.
            np.testing.assert_allclose(
                value,
                theirs[number][name],
                max(signs * tolerance, scored),
                1e-12,
                err_msg=f"{name}, step {number}",
            )


@pytest.fixture(scope="module")
def on_one(shards, tmp_path_factory):
    """(epochs, dtype) -> the losses of a run on one device."""
    done = {}

    def losses_of(epochs, dtype):
        if (epochs, dtype) not in done:
            workdir = tmp_path_factory.mktemp("runs") / "one"
            finish(start("one", shards, workdir, epochs, dtype))
            done[epochs, dtype] = losses(workdir)
        return done[epochs, dtype]

    return losses_of


def test_two_processes_agree_with_one(on_one, shards, tmp_path):
    finish(start("two_by_two_split", shards, tmp_path / "run", 1))
    agree(losses(tmp_path / "run"), on_one(1, "float64"), 2, 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("topology", list(TOPOLOGIES)[1:])
@pytest.mark.parametrize(
    ("dtype", "epochs", "steps", "tolerance"),
    # In float32 a GAN amplifies rounding soon beyond any tolerance.
    [("float64", 10, 20, 1e-9), ("float32", 2, 3, 1e-5)],
)
def test_every_topology_agrees_with_one_device(
    topology, dtype, epochs, steps, tolerance, on_one, shards, tmp_path
):
    finish(start(topology, shards, tmp_path / "run", epochs, dtype))
    agree(losses(tmp_path / "run"), on_one(epochs, dtype), steps, tolerance)


@pytest.mark.slow
def test_stop_on_one_topology_and_go_on_on_another(on_one, shards, tmp_path):
    epochs = {"two_by_two_split": 2, "four": 4, "one": 6, "two_by_two": 8, "four_split": 10}
    for topology, last in epochs.items():
        said = finish(start(topology, shards, tmp_path / "run", last))
        assert f"step {2 * last - 4} of" in said
    agree(losses(tmp_path / "run"), on_one(10, "float64"), 20, 1e-9)


@pytest.fixture
def second(shards, tmp_path, on_one):
    """(step) -> a run of two processes that has logged it, and the second of them; at the end the
    run goes on, and agrees with one that nothing happened to."""

    def at(number):
        process = start("two_by_two", shards, tmp_path / "run", 10)
        for line in iter(process.stdout.readline, ""):
            if f"0: step {number}/" in line:
                break
        family = psutil.Process(process.pid).children(recursive=True)
        return process, next(
            p for p in family if {"--process=1", "s2f_jax.main"} <= set(p.cmdline())
        )

    yield at
    finish(start("two_by_two", shards, tmp_path / "run", 10))
    agree(losses(tmp_path / "run"), on_one(10, "float64"), 20, 1e-9)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_at_the_same_step(second):
    process, other = second(2)
    other.send_signal(signal.SIGTERM)
    said = finish(process, 75)
    assert re.search(r"0: a signal to another process: saved at step \d+; rerun", said)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others_and_the_run_goes_on(second):
    process, other = second(5)
    other.kill()
    begun = time.monotonic()
    process.communicate()
    assert process.returncode not in (0, 75)
    assert time.monotonic() - begun < 120


@pytest.mark.slow
def test_an_error_in_one_process_ends_all(shards, tmp_path):
    """Here in the first, which alone writes the log: it does not wait for the second one."""
    (tmp_path / "run" / "metrics.jsonl").mkdir(parents=True)
    process = start("two_by_two", shards, tmp_path / "run", 1)
    begun = time.monotonic()
    said = finish(process, 1)
    assert "0: IsADirectoryError" in said
    assert time.monotonic() - begun < 150
