"""launch/slurm.sh and launch/tpu_vm.sh, with stand-ins for the cluster's commands on the PATH."""

import os
import shlex
import signal
import subprocess
import time

import pytest

from s2f_jax import main
from s2f_jax.cli import commands
from s2f_jax.config.read import load_config
from tests.programs import ROOT


@pytest.fixture
def accepted(monkeypatch):
    """Does the command line take these arguments of `train`, up to the training itself?"""
    monkeypatch.chdir(ROOT)

    def read(given, rest):
        assert given["data_dir"] and given["workdir"]
        load_config(given["config"], rest)
        return 0

    monkeypatch.setitem(commands.COMMANDS, "train", commands.COMMANDS["train"]._replace(run=read))
    return lambda arguments: main.dispatch(arguments) == 0


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Writes a bash script that plays a command; every call of it is a line in log."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)

    def stand_in(name, script):
        text = f"#!/usr/bin/env bash\necho \"{name} ${{*//$'\\n'/ }}\" >>{tmp_path}/log\n{script}\n"
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    return stand_in


def calls(tmp_path, what):
    return [line for line in (tmp_path / "log").read_text().splitlines() if what in line]


# Slurm: srun's tasks are played by itself.

SRUN = """echo $$ >pid
trap 'sleep 0.3; exit {stopped}' TERM
for i in $(seq {tenths}); do sleep 0.1; done
exit {ended}"""


@pytest.fixture
def slurm(stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    stand_in("scancel", 'kill -TERM "$(cat pid)"')
    stand_in("scontrol", "")

    def slurm(signalled, **played):
        stand_in("srun", SRUN.format(**{"stopped": 75, "ended": 0, "tenths": 600} | played))
        batch = subprocess.Popen([ROOT / "launch/slurm.sh", "--config=c.py"])
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.05)
        if signalled:
            batch.send_signal(signal.SIGUSR1)
        return batch.wait(20)

    return slurm


def test_slurm_runs_the_command_and_tells_its_exit_code(slurm, tmp_path):
    assert slurm(False, tenths=1, ended=2) == 2
    command = "srun --kill-on-bad-exit=0 .venv/bin/python -m s2f_jax.main --config=c.py"
    assert (tmp_path / "log").read_text().splitlines() == [command]


def test_slurm_saves_before_its_time_is_up_and_goes_back_into_the_queue(slurm, tmp_path):
    assert slurm(True) == 75
    assert calls(tmp_path, "scancel") == ["scancel --signal=TERM 7"]
    assert calls(tmp_path, "scontrol") == ["scontrol requeue 7"]


def test_slurm_does_not_queue_what_was_stopped_by_a_person_or_has_failed(slurm, tmp_path):
    assert slurm(False, tenths=1, ended=75) == 75
    (tmp_path / "pid").unlink()
    assert slurm(True, stopped=1) == 1
    assert calls(tmp_path, "scontrol") == []


# Cloud TPU: the states that a queued resource is in, and how each run on it ends, come from files.

GCLOUD = r"""next() { sed -n 1p "$1"; sed -i '1{$!d}' "$1"; }  # The last line stays.
case "$*" in
  *" describe "*) next states ;;
  *" ssh "*"! flock"*) [ -e running ] ;;
  *" ssh "*nohup*) touch running ;;
  *" ssh "*tail*) rm running; next ends >ended; [ "$(cat ended)" != 255 ] ;;
  *" ssh "*exit_code*) [ "$(cat ended)" != 255 ] && cat ended ;;
esac"""


@pytest.fixture
def tpu_vm(stand_in, tmp_path, monkeypatch):
    # The script goes to the repository's top; its stand-in goes here.
    stand_in("gcloud", f"cd {tmp_path}\n{GCLOUD}")
    given = {"ZONE": "us-central2-b", "TYPE": "v4-32", "BUCKET": "gs://b", "POLL": "0"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    def tpu_vm(states, ends, *flags):
        (tmp_path / "states").write_text("\n".join(states) + "\n")
        (tmp_path / "ends").write_text("\n".join(ends) + "\n")
        return subprocess.run(
            [ROOT / "launch/tpu_vm.sh", "mine", *flags], capture_output=True, text=True, timeout=60
        )

    return tpu_vm


def test_a_tpu_is_asked_for_once_and_every_vm_gets_the_commit(tpu_vm, tmp_path):
    ended = tpu_vm(["", "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"], ["0"])
    assert ended.returncode == 0
    assert "costs money until: gcloud compute tpus queued-resources delete mine" in ended.stderr
    (create,) = calls(tmp_path, " create ")
    assert "--accelerator-type=v4-32" in create and "--spot" not in create
    (copy,) = calls(tmp_path, " scp ")
    assert copy.endswith("s2f_jax.tar.gz mine: --zone=us-central2-b --worker=all")
    assert all("--worker=all" in line for line in calls(tmp_path, "pip install"))
    assert len(calls(tmp_path, "nohup")) == 1


def test_the_command_on_the_tpu_is_one_that_is_accepted(tpu_vm, tmp_path, accepted):
    flags = ("--config.batch_size=32", "--config.name=a b")
    assert tpu_vm(["ACTIVE"], ["0"], *flags).returncode == 0
    (run,) = calls(tmp_path, "nohup")
    words = shlex.split(run[run.index("nohup") :])
    assert words[:5] == ["nohup", "flock", "-n", "lock", "sh"]
    arguments = shlex.split(words[6].removesuffix("; echo $? >exit_code"))
    assert arguments[:3] == [".venv/bin/python", "-m", "s2f_jax.main"]
    assert arguments[4:] == [
        "--data_dir=gs://b/tensorflow_datasets",
        "--workdir=gs://b/runs/grid",
        *flags,
    ]
    assert accepted(arguments[3:])


@pytest.mark.parametrize("code", ["1", "2", "75"])
def test_a_run_that_fails_or_is_stopped_is_told(tpu_vm, tmp_path, code):
    assert tpu_vm(["ACTIVE"], [code]).returncode == int(code)
    assert len(calls(tmp_path, "nohup")) == 1


def test_a_run_that_is_there_is_looked_on_at(tpu_vm, tmp_path):
    (tmp_path / "running").touch()
    assert tpu_vm(["ACTIVE"], ["0"]).returncode == 0
    assert calls(tmp_path, "nohup") == calls(tmp_path, " scp ") == []


def test_spot_goes_on_until_the_run_has_finished(tpu_vm, tmp_path, monkeypatch):
    monkeypatch.setenv("SPOT", "1")
    states = ["ACTIVE", "SUSPENDING", "SUSPENDED", "", "PROVISIONING", "ACTIVE", "ACTIVE"]
    assert tpu_vm(states, ["255", "75", "0"]).returncode == 0
    assert len(calls(tmp_path, " delete ")) == 1
    (create,) = calls(tmp_path, " create ")
    assert "--spot" in create
    assert len(calls(tmp_path, "nohup")) == 3


def test_spot_does_not_repeat_a_failure(tpu_vm, tmp_path, monkeypatch):
    monkeypatch.setenv("SPOT", "1")
    assert tpu_vm(["ACTIVE"], ["2"]).returncode == 2
    assert tpu_vm(["FAILED"], ["0"]).returncode == 1
    assert len(calls(tmp_path, "nohup")) == 1
