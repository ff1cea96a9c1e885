"""A run that is killed again and again ends as if nothing had happened. Minutes long."""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from orbax.checkpoint import PyTreeCheckpointer

from tests.programs import ROOT

CONFIG = ["--config=configs/demo.py", "--config.max_epochs=2", "--config.loss.adversarial_from=240"]
OFTEN = ["--config.checkpoint_every=20", "--config.log_every=1", "--config.sample_clips=1"]
SAVED = re.compile(r"SIGTERM: saved at step (\d+)")
BEGUN = re.compile(r"^step (\d+) of at most \d+", re.MULTILINE)
pytestmark = [
    pytest.mark.slow,
    # Read without the networks, as whoever has only the folder does, on the one device there was.
    pytest.mark.filterwarnings("ignore:Sharding info not provided:UserWarning"),
]


def start(*arguments):
    """On one device, as the demo is run, and with programs compiled once for all tries."""
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / "runs" / "xla"),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "s2f_jax.main", *arguments],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process, code):
    said, _ = process.communicate()
    assert process.returncode == code, said
    return said


def whole_steps(workdir):
    """The newest step that a resume finds."""
    return max(
        (int(p.name) for p in (workdir / "checkpoints").glob("[0-9]*") if p.name.isdigit()),
        default=0,
    )


def leaves(workdir):
    """Everything in the newest checkpoint: the state's arrays by name, and the JSON beside it."""
    newest = whole_steps(workdir)
    folder = workdir / "checkpoints" / str(newest)
    with PyTreeCheckpointer() as checkpointer:
        state = checkpointer.restore(folder / "state")
    flat = {}

    def walk(name, tree):
        if isinstance(tree, dict):
            for key, value in tree.items():
                walk(f"{name}/{key}", value)
        elif isinstance(tree, (list, tuple)):
            walk(name, dict(enumerate(tree)))
        elif tree is not None:
            flat[name] = np.asarray(tree)

    walk("", state)
    beside = [(folder / item / "metadata").read_text() for item in ("data", "progress", "sums")]
    return newest, flat, beside


def losses(workdir):
    """What was logged, without what depends on the clock."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    clock = ("_per_s", "_percent", "_gb")
    return [{k: v for k, v in row.items() if not k.endswith(clock)} for row in rows]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    finish(start("prepare", "--config=configs/demo.py"), 0)
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    finish(start(*CONFIG, *OFTEN, f"--workdir={workdir}"), 0)
    return workdir


def wait_for_a_save(process, workdir):
    """Until a checkpoint is being written, and a moment more."""
    while process.poll() is None:
        if any((workdir / "checkpoints").glob("*.orbax-checkpoint-tmp")):
            time.sleep(random.uniform(0, 0.1))
            return
        time.sleep(0.002)


def wait_for_steps(process, count):
    """Until so many steps are logged, and a moment more."""
    for line in iter(process.stdout.readline, ""):
        count -= line.startswith("step ") and "/" in line.split(",")[0]
        if count < 0:
            break
    time.sleep(random.uniform(0, 0.3))


def same(workdir, other):
    (step, state, beside), (other_step, other_state, other_beside) = map(leaves, (workdir, other))
    assert (step, beside) == (other_step, other_beside)
    assert state.keys() == other_state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(value, other_state[name], err_msg=name)
    assert losses(workdir) == losses(other)


def test_thirty_kills(uninterrupted, tmp_path):
    """SIGKILL: ten within a save, fifteen after some steps, five while it starts."""
    workdir = tmp_path / "killed"
    random.seed(0)
    moments = ["save"] * 10 + ["steps"] * 15 + ["start"] * 5
    random.shuffle(moments)
    begun = []
    for kill, moment in enumerate(moments, 1):
        process = start(*CONFIG, *OFTEN, f"--workdir={workdir}")
        if moment == "save":
            wait_for_a_save(process, workdir)
        elif moment == "steps":
            wait_for_steps(process, random.uniform(0, 60))
        else:
            time.sleep(random.uniform(0, 10))
        process.kill()
        said = finish(process, -signal.SIGKILL)
        left = [p.name for p in (workdir / "checkpoints").glob("*")]
        begun.append(whole_steps(workdir))
        print(f"kill {kill} ({moment}): at {begun[-1]}, {sorted(left)}", flush=True)
        assert "trying the one before" not in said
    assert begun == sorted(begun)  # Nothing that was saved is ever lost.
    assert begun[-1] > 100
    said = finish(start(*CONFIG, *OFTEN, f"--workdir={workdir}"), 0)
    assert f"step {begun[-1]} of at most" in said
    same(workdir, uninterrupted)


def test_ten_stops(uninterrupted, tmp_path):
    """SIGTERM: the step that each stop names is the one that the next start goes on from."""
    workdir = tmp_path / "stopped"
    random.seed(1)
    saved = 0
    for stop in itertools.count(1):
        process = start(*CONFIG, *OFTEN, f"--workdir={workdir}")
        if stop <= 10:
            # Once it trains; before that there is nothing to lose, and Python's own handler ends it.
            lines = iter(process.stdout.readline, "")
            begun = next(int(found[1]) for line in lines if (found := BEGUN.match(line)))
            assert begun == saved
            time.sleep(random.uniform(0, 15))
            process.send_signal(signal.SIGTERM)
            said = finish(process, 75)
            saved = int(SAVED.search(said)[1])
            done = [int(n) for n in re.findall(r"^step (\d+)/", said, re.MULTILINE)]
            assert saved == max(done, default=begun)
            print(f"stop {stop}: {begun} to {saved}", flush=True)
        else:
            finish(process, 0)
            break
    same(workdir, uninterrupted)
