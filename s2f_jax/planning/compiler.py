"""Has a run's training step compiled for devices that are not here, and reads what came out."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

from data_pipelines.common.errors import UserError
from s2f_jax.planning import hlo
from s2f_jax.planning.chips import GIB, Target

_PACKAGES = {"tpu": "libtpu", "cuda": "jax_plugins.xla_cuda13"}
_UNITS = {"K": 2**10, "M": 2**20, "G": GIB}
_POLL = 1.0  # Seconds.


class Buffer(NamedTuple):
    """A piece of main memory in a program.

    Attributes:
      bytes: Its size.
      arrays: What it holds, one after the other, as XLA names their shapes.
    """

    bytes: int
    arrays: str


class Memory(NamedTuple):
    """Main memory of one device, bytes.

    Attributes:
      arguments: Of the state and the batch.
      temporaries: Of all else.
      largest: The largest temporaries.
    """

    arguments: int
    temporaries: int
    largest: tuple[Buffer, ...]

    @property
    def total(self) -> int:
        """All of it."""
        return self.arguments + self.temporaries


class CompiledStep(NamedTuple):
    """A compiled step.

    Attributes:
      asked: The program before XLA optimized it, of all devices.
      module: The program of one device.
      memory: What it needs.
    """

    asked: hlo.Module
    module: hlo.Module
    memory: Memory


class TooLarge(Exception):
    """The compiler refused a program.

    Args:
      needed: Bytes that it needs.
    """

    def __init__(self, needed: int):
        super().__init__(needed)
        self.needed = needed


def check_compiler(target: Target) -> None:
    """Refuses a target for which there is no compiler.

    Args:
      target: The target.

    Raises:
      UserError: Its compiler is not installed.
    """
    package = _PACKAGES[target.chip.platform]
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        found = None
    if not found:
        raise UserError(
            f"--on={target.name}: the compiler for it is not installed: pip install 's2f_jax[plan]'"
        )


def compile_step(
    target: Target, examples: int, config: str, overrides: Sequence[str]
) -> CompiledStep:
    """Compiles a step in another process, up to where the program and its memory are known.

    A TPU's machine code, which takes ten times as long, is not waited for.

    Args:
      target: What it is compiled for.
      examples: Number of training examples of an epoch.
      config: The run's config.
      overrides: --config.FIELD=VALUE arguments.

    Returns:
      The program.

    Raises:
      error: TooLarge, if it needs more memory than there is; else RuntimeError.
    """
    with tempfile.TemporaryDirectory(prefix="s2f_plan_") as folder:
        flags = (
            f"--xla_dump_to={folder} --xla_dump_hlo_as_text --xla_dump_hlo_module_re=.*train_step.*"
        )
        environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_COMPILATION_CACHE": "false",  # What comes from there is not dumped.
            "TPU_SKIP_MDS_QUERY": "1",
            "XLA_FLAGS": flags,
        }
        command = [sys.executable, "-m", "s2f_jax.planning.compile_step"]
        command += [target.name, str(examples), config, *overrides]
        log = pathlib.Path(folder, "log")
        with log.open("wb") as file:
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
            try:
                while process.poll() is None and not list(_memory_reports(folder)):
                    time.sleep(_POLL)
                time.sleep(_POLL if process.poll() is None else 0)  # The report is written at once.
            finally:
                process.kill()
                process.wait()
        if not list(_memory_reports(folder)):
            error = _failure(log.read_text(errors="replace"))
            raise error
        return read_dump(pathlib.Path(folder))


def _memory_reports(folder: str) -> Sequence[pathlib.Path]:
    return sorted(pathlib.Path(folder).glob("*after_optimizations-memory-usage-report.txt"))


def _failure(said: str) -> Exception:
    if match := re.search(r"Used ([\d.]+)([KMG]) of [\d.]+[KMG] hbm", said):
        return TooLarge(int(float(match[1]) * _UNITS[match[2]]))
    if match := re.search(r"required for HLO temporaries \(([\d.]+)([KMG])\)", said):
        return TooLarge(int(float(match[1]) * _UNITS[match[2]]))
    return RuntimeError(f"the compiler failed:\n{said[-2000:]}")


def read_dump(folder: pathlib.Path) -> CompiledStep:
    """Reads what XLA wrote of one program.

    Args:
      folder: Folder of --xla_dump_to.

    Returns:
      The program.
    """

    def only(pattern: str) -> str:
        (path,) = folder.glob(pattern)
        return path.read_text()

    return CompiledStep(
        hlo.parse(only("*before_optimizations.txt")),
        hlo.parse(only("*after_optimizations.txt")),
        read_memory(
            only("*after_optimizations-memory-usage-report.txt"),
            only("*after_optimizations-buffer-assignment.txt"),
        ),
    )


def read_memory(report: str, assignment: str) -> Memory:
    """Reads how a program uses main memory.

    Args:
      report: XLA's memory usage report; of several memories main memory is the first.
      assignment: XLA's buffer assignment.

    Returns:
      The memory.
    """
    main = report.split("Memory Space:")[1]
    (total,) = re.findall(r"Total bytes: (\d+)", main)
    given = re.findall(r"^allocation \d+: size (\d+), parameter ", assignment, re.MULTILINE)
    arguments = sum(map(int, given))
    rows = re.findall(
        r"^ *[\d.]+\w+\([ \d]+%\); +([\d.]+)(\w*)B; +\d+; +\d+; (.*)$", main, re.MULTILINE
    )
    largest = sorted(
        (Buffer(int(float(size) * _UNITS.get(unit[:1], 1)), arrays) for size, unit, arrays in rows),
        reverse=True,
    )
    return Memory(arguments, int(total) - arguments, tuple(largest[:8]))
