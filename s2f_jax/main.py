"""The entry point of the command line: process set-up and dispatch."""

import errno
import gc
import importlib.metadata
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

from absl import flags, logging

from data_pipelines.common.download import user_cache
from data_pipelines.common.errors import STOPPED, TrainingFailed, UserError, make_printable
from s2f_jax.cli import commands

# Errors that any system call with a file name of the user may raise.
_BAD_NAME = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_INTERRUPTED = 130  # Exit code of a program ended by SIGINT, as shells have it.


def dispatch(arguments: Sequence[str]) -> int:
    """Runs a command; a user's mistake or a failed run is reported in one sentence.

    Args:
      arguments: Arguments of the program, without its name.

    Returns:
      Exit code: 0; 2 for a user's mistake, 1 for a run that failed, 130 for Ctrl-C, or the command's.

    Raises:
      OSError: A system error that is neither a bad file name nor a full disk.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(commands.usage(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"s2f_jax {importlib.metadata.version('s2f_jax')}")
        return 0
    has_name = not arguments[0].startswith("-")
    name = arguments[0] if has_name else "train"
    if name not in commands.COMMANDS:
        known = ", ".join(commands.COMMANDS)
        return _report(f"{make_printable(name)}: is not a command; give one of {known}", 2)
    command = commands.COMMANDS[name]
    try:
        return command.run(*command.parse(name, arguments[has_name:]))
    except KeyboardInterrupt:
        partial = "; no partial output was left" if command.atomic else ""
        return _report(f"interrupted{partial}", _INTERRUPTED)
    except UserError as error:
        return _report(make_printable(error), 2)
    except TrainingFailed as error:
        return _report(f"{error}", 1)
    except OSError as error:
        if error.errno in _BAD_NAME and error.filename is not None:
            path = make_printable(os.fsdecode(error.filename))
            return _report(f"{path}: cannot be used ({error.strerror}); give another name", 2)
        if error.errno in _NO_SPACE:
            path = error.filename or "the disk"
            return _report(f"{path} is full: free some space and run the same command again", 1)
        raise


def _report(message: str, code: int) -> int:
    print(f"s2f: {message}", file=sys.stderr)
    return code


def main() -> None:
    """Runs the command of sys.argv and exits."""
    # Imports make a million objects, none of them garbage; by default every 700 are searched for some.
    gc.set_threshold(100_000)
    sys.path.insert(0, "")  # As `python -m` does, so that `s2f` finds what a config imports.
    logging.set_verbosity(logging.ERROR)  # TFDS and Orbax warn of what is intended.
    # What OpenCV and Pillow say of a damaged picture would come before our sentence.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    warnings.filterwarnings("ignore", module="PIL")
    # Before jax is imported: compiled programs are cached for the next process.
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(user_cache() / "xla")
    # By default JAX caches what took a second; start-up consists of many programs of a tenth.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")
    # With several simulated CPU devices, XLA may start a program's collectives in a different order
    # on each device, and all wait for ever.
    if "host_platform_device_count" in (xla := os.environ.get("XLA_FLAGS", "")):
        os.environ["XLA_FLAGS"] = f"{xla} --xla_cpu_enable_concurrency_optimized_scheduler=false"
    if isinstance(sys.stdout, io.TextIOWrapper):  # A file name may not be valid text.
        sys.stdout.reconfigure(errors="backslashreplace")
    flags.FLAGS.mark_as_parsed()  # Grain's worker processes read absl's flags.
    try:
        code = dispatch(sys.argv[1:])
    except Exception:
        traceback.print_exc()
        code = 1
    if code not in (0, STOPPED) and "jax" in sys.modules:
        from s2f_jax.runs import cluster

        cluster.leave(code)
    if code == 0 and sys.argv[1:2] == ["generate"]:
        # All is written; regular shutdown would take a tenth of the time of a short clip.
        sys.stdout.flush()
        os._exit(0)
    sys.exit(code)


if __name__ == "__main__":
    main()
