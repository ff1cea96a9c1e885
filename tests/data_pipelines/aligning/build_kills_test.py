"""A build that is killed again and again ends in the same bytes as one that is not."""

import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.data_pipelines import stand_in_prepare
from tests.programs import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    stand_in_prepare.write_corpus(folder)
    return folder


def start(corpus, data_dir, workers):
    module = "tests.data_pipelines.stand_in_prepare"
    return subprocess.Popen(
        [sys.executable, "-m", module, corpus, data_dir, str(workers)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process):
    said, _ = process.communicate()
    return process.returncode, said


def form(data_dir):
    return data_dir / "grid" / "32x24_16000hz_25fps"


def sums(data_dir):
    """What the build made: {file: its sum}."""
    made = sorted((form(data_dir) / "1.0.0").iterdir())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made}


MOMENTS = {  # What appears when a build has come so far.
    "start": "incomplete.*",
    "aligning": "cache/*/*.npz",
    "packing": "incomplete.*/*array_record*",
    "rename": "incomplete.*/*.json",
}


def start_until(moment, corpus, data_dir, workers):
    """A build that is at this moment, or has ended."""
    before = set(form(data_dir).glob(MOMENTS[moment]))
    process = start(corpus, data_dir, workers)
    while process.poll() is None and set(form(data_dir).glob(MOMENTS[moment])) <= before:
        time.sleep(0.0005)
    return process


def test_ten_kills(corpus, tmp_path):
    code, said = finish(start(corpus, tmp_path / "whole", 1))
    assert code == 0, said
    whole, killed = sums(tmp_path / "whole"), tmp_path / "killed"
    assert sum(name.startswith("grid-train") for name in whole) > 1
    random.seed(0)
    longest = {"start": 0.3, "aligning": 0.3, "packing": 0.1, "rename": 0.0}  # Seconds.
    kept, hit = 0, 0
    for moment in ["start"] + 4 * ["aligning"] + 3 * ["packing"] + 2 * ["rename"]:
        process = start_until(moment, corpus, killed, 2)
        time.sleep(random.uniform(0, longest[moment]))
        process.kill()
        code, said = finish(process)
        left = sorted(path.name for path in form(killed).glob("incomplete.*/*"))
        aligned = len(list(form(killed).glob("cache/*/*.npz")))
        print(moment, code, aligned, left, flush=True)
        assert aligned >= kept  # Nothing that was aligned is ever lost.
        kept, hit = aligned, hit + (code == -signal.SIGKILL)
        if (form(killed) / "1.0.0").exists():  # Too late: all was done.
            assert sums(killed) == whole
            shutil.rmtree(form(killed) / "1.0.0")
    assert hit >= 8
    code, said = finish(start(corpus, killed, 2))
    assert code == 0, said
    assert sums(killed) == whole
    assert not list(form(killed).glob("incomplete.*")) and not list(killed.rglob(".*.part"))


def test_two_at_once(corpus, tmp_path):
    first = start_until("aligning", corpus, tmp_path, 1)
    first.send_signal(signal.SIGSTOP)
    code, said = finish(start(corpus, tmp_path, 1))
    assert code == 1 and "Another `prepare` of grid is at work" in said
    first.send_signal(signal.SIGCONT)
    code, said = finish(first)
    assert code == 0, said
