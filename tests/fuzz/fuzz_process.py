"""A worker process and the watch over it: time and memory are bounded whatever a case does."""

import contextlib
import dataclasses
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time

import psutil

from tests.programs import ROOT

SECONDS = 60.0  # Of a case, on a machine that is busy.
MEMORY = 3 << 30  # Bytes that a case may take beyond what the process had.


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int | None  # None: it did not end by itself.
    out: bytes
    error: bytes
    fault: str  # A traceback, or what the watch ended it for; empty: neither.
    seconds: float
    memory: int  # Bytes at most beyond what there was before.


class Worker:
    """A process of fuzz_worker.py, started again after each that had to be ended."""

    def __init__(self, cache):
        """cache: the folder for compiled programs."""
        self._environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        self._process = None

    def _started(self):
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, str(pathlib.Path(__file__).with_name("fuzz_worker.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=self._environment,
                cwd=ROOT,
            )
            assert self._process.stdout.readline() == b"ready\n"
        return self._process

    def run(self, arguments, folder, logs, stdin=os.devnull):
        """arguments of the command line, run in `folder`; logs: a folder for what is printed."""
        process = self._started()
        temporary = logs / "tmp"
        temporary.mkdir()
        job = {
            "arguments": arguments,
            "folder": str(folder),
            "temporary": str(temporary),
            "standard": [str(stdin), str(logs / "out"), str(logs / "error")],
        }
        watched = psutil.Process(process.pid)
        before, start = watched.memory_info().rss, time.monotonic()
        most, fault = before, ""
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
        while not select.select([process.stdout], [], [], 0.02)[0]:
            if process.poll() is not None:
                break
            most = max(most, watched.memory_info().rss)
            if most - before > MEMORY:
                fault = f"takes more than {MEMORY} bytes"
            if time.monotonic() - start > SECONDS:
                process.send_signal(signal.SIGUSR1)
                time.sleep(1)
                fault = f"hangs for {SECONDS} s"
            if fault:
                process.kill()
        seconds = time.monotonic() - start
        line = b"" if fault else process.stdout.readline()
        answer = json.loads(line) if line else {"code": None, "traceback": ""}
        fault = fault or answer["traceback"]
        if not line and not fault:
            fault = f"the process died ({process.wait()})"
        if not line:
            process.wait()
        out, error = ((logs / name).read_bytes() for name in ("out", "error"))
        left = [path.name for path in temporary.iterdir()]
        if left and not fault:
            fault = f"leaves {left} in the folder for temporary files"
        return Outcome(answer["code"], out, error, fault, seconds, most - before)

    def close(self):
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process = None
