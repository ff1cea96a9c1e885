"""The program as a process of its own."""

import contextlib
import os
import pathlib
import subprocess
import sys

import jax

ROOT = pathlib.Path(__file__).parent.parent


@contextlib.contextmanager
def running(*words, before="", **options):
    """`s2f` with these words, which does not compile again what the tests have compiled; ended in the
    end, whatever it does.

    before: what only a shell can do first. options: of Popen; the standard streams are pipes unless
    said otherwise.
    """
    command = [sys.executable, "-m", "s2f_jax.main", *words]
    if before:
        command = ["bash", "-c", f'{before}; exec "$@"', "bash", *command]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir),
    }
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(command, env=environment, **pipes | options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # What is left goes nowhere.
                    pipe.close()


@contextlib.contextmanager
def served(*words, port=0):
    """A command that serves a page: the process, and the address that it printed; port 0: any that
    is free."""
    with running(*words, f"--port={port}", text=True) as process:
        yield process, process.stdout.readline().strip()
