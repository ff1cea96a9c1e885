"""launch/local_cluster.sh, with a stand-in for the program: what comes through, and who is left."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.programs import ROOT

# A flag --I=... says what process I does; each says its pid, and what it has been given.
STAND_IN = f"""#!{sys.executable} -IS
import os, signal, subprocess, sys, time
flags = dict(flag[2:].split("=", 1) for flag in sys.argv if "=" in flag)
what = flags.get(flags["process"], "serve")
def stop(number, frame):
    # Not print: it may have been interrupted itself, holding its lock.
    os.write(1, b"stopped by %s\\n" % signal.Signals(number).name.encode())
    time.sleep(0.2 * int(flags["process"]))
    sys.exit(75)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN if what == "stubborn" else stop)
worker = [subprocess.Popen(["sleep", "60"]).pid] if what == "with worker" else []
print("pids", os.getpid(), *worker, flush=True)
print("given", sys.argv[1:], os.environ["JAX_PLATFORMS"], os.environ["XLA_FLAGS"], flush=True)
time.sleep(0.3)
if what.isdigit():
    sys.exit(int(what))
time.sleep(60)
"""


@pytest.fixture
def start(tmp_path):
    """Starts the script; -> its process, once each of N has said all it says, and those lines."""
    python = tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    started = []

    def start(n, *flags, wait=True, **environment):
        environment = os.environ | {"PYTHON": str(python), "GRACE": "1"} | environment
        command = [ROOT / "launch/local_cluster.sh", str(n), *flags]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        # What starts the tests may ignore SIGINT, as a shell does for its background jobs.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(command, env=environment, start_new_session=True, **pipes)
        signal.signal(signal.SIGINT, before)
        started.append(process)
        assert process.stdout
        lines = 2 * n if wait else 0
        return process, [process.stdout.readline().rstrip() for _ in range(lines)]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def pids(lines):
    return [int(pid) for line in lines for pid in re.findall(r"\d+", line.partition(": pids")[2])]


def left(lines, seconds=5.0):
    """Those of the processes that still run after so long; the dead may wait for their parent."""
    end = time.monotonic() + seconds
    while True:
        states = ((pathlib.Path("/proc") / str(pid) / "stat", pid) for pid in pids(lines))
        alive = [pid for stat, pid in states if stat.exists() and ") Z" not in stat.read_text()]
        if not alive or time.monotonic() > end:
            return alive
        time.sleep(0.05)


def test_each_process_has_its_number_the_address_and_its_devices(start):
    process, lines = start(3, "evaluate", "--0=0", "--1=0", "--2=0", "--x=a b", DEVICES="4")
    assert process.wait(20) == 0
    given = sorted(line for line in lines if ": given" in line)
    address = re.search(r"--coordinator=localhost:\d+", given[0])
    assert address
    for i, line in enumerate(given):
        assert line.startswith(f"{i}: given ['-m', 's2f_jax.main', 'evaluate', '--0=0', ")
        assert f"'--x=a b', '{address[0]}', '--processes=3', '--process={i}'] cpu " in line
        assert line.endswith(" --xla_force_host_platform_device_count=4")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_goes_to_all_and_75_comes_back(start, number):
    process, lines = start(3)
    process.send_signal(number)
    assert process.wait(20) == 75
    told = [f"{i}: stopped by {number.name}" for i in range(3)]
    assert sorted(process.stdout.read().splitlines()) == told  # The slowest has not been cut off.
    assert left(lines) == []


def test_ctrl_c_at_a_terminal_reaches_each_once(start):
    process, lines = start(2)
    os.killpg(process.pid, signal.SIGINT)  # As a terminal does: to the script and what it holds.
    assert process.wait(20) == 75
    assert sorted(process.stdout.read().splitlines()) == [f"{i}: stopped by SIGINT" for i in (0, 1)]
    assert left(lines) == []


@pytest.mark.parametrize("others", ["serve", "stubborn"])
def test_when_one_fails_the_others_are_ended_and_its_exit_code_comes_back(start, others):
    process, lines = start(3, f"--0={others}", "--1=3", f"--2={others}")
    began = time.monotonic()
    assert process.wait(20) == 3
    assert time.monotonic() - began < 10
    assert "process 1 ended with exit code 3" in process.stderr.read()
    assert left(lines, 0) == []


def test_one_that_finishes_does_not_end_the_others(start):
    process, lines = start(2, "--0=0")
    time.sleep(2.5)  # More than GRACE.
    assert len(left(lines, 0)) == 1
    process.terminate()
    assert process.wait(20) == 75


def test_a_killed_process_is_a_failure_of_it(start):
    process, lines = start(2)
    os.kill(pids(lines)[0], signal.SIGKILL)
    assert process.wait(20) == 128 + signal.SIGKILL
    assert left(lines, 0) == []


def test_nothing_outlives_it_not_even_a_worker(start):
    process, lines = start(2, "--0=with worker", "--1=5")
    assert len(pids(lines)) == 3
    assert process.wait(20) == 5
    assert left(lines) == []


def test_nothing_outlives_it_when_it_is_killed(start):
    process, lines = start(3, "--0=with worker", "--1=stubborn")
    process.kill()
    process.communicate(timeout=20)  # Nobody holds its output open.
    assert left(lines) == []


@pytest.mark.parametrize("delay", [0.01, 0.03, 0.06, 0.1])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_starts_ends_it(start, delay, number):
    process, _ = start(2, wait=False)
    time.sleep(delay)
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert process.returncode != 0
    assert left(output.splitlines()) == []


@pytest.mark.parametrize("arguments", [[], ["two"], ["0"], ["--config=configs/demo.py"]])
def test_without_a_number_it_says_so(arguments):
    script = ROOT / "launch/local_cluster.sh"
    ended = subprocess.run([script, *arguments], capture_output=True, text=True)
    assert ended.returncode == 2
    assert "is no number of processes: give e.g. 2" in ended.stderr
