"""One command line: flags and dispatch. No command means train."""

import argparse
import errno
import gc
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from absl import flags, logging

from data_pipelines.common.download import user_cache
from data_pipelines.common.errors import STOPPED, TrainingFailed, UserError, make_printable
from s2f_jax.cli.commands import COMMANDS

MODULE = "python -m s2f_jax.main"
# Whatever a name is for, asking the system about it may fail like this.
_NO_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}: see `{self.prog} --help`")


def dispatch(arguments: Sequence[str]) -> int:
    """-> exit code: 2 for a person's mistake, 1 for a run that failed, told in one sentence."""
    listing = "\n".join(f"  {name:10}{command.summary}" for name, command in COMMANDS.items())
    usage = f"usage: {MODULE} [COMMAND] --config=FILE [flags]\n{listing}"
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    named = not arguments[0].startswith("-")
    name = arguments[0] if named else "train"
    if name not in COMMANDS:
        print(f"s2f: there is no command {name!r}: give {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    command = COMMANDS[name]
    parser = _Parser(
        prog=f"{MODULE} {name}",
        description=command.summary,
        epilog=f"example: {MODULE} {name} {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    command.add_flags(parser.add_argument)
    try:
        options, rest = parser.parse_known_args(list(arguments[named:]))
        return command.run(vars(options), rest)
    except KeyboardInterrupt:
        left = "; nothing half-written is left" if command.atomic else ""
        print(f"s2f: stopped{left}", file=sys.stderr)
        return 130  # As shells have it.
    except UserError as error:
        print(f"s2f: {make_printable(error)}", file=sys.stderr)
        return 2
    except TrainingFailed as error:
        print(f"s2f: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno in _NO_NAMES and error.filename is not None:
            name = make_printable(os.fsdecode(error.filename))
            print(f"s2f: {name} cannot be used ({error.strerror}): give another", file=sys.stderr)
            return 2
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = error.filename or "the disk"
        print(f"s2f: {where} is full: make room and run the same command again", file=sys.stderr)
        return 1


def main() -> None:
    # Imports make a million objects, none of them garbage, and the default looks for some every 700.
    gc.set_threshold(100_000)
    sys.path.insert(0, "")  # As `python -m` does, so that `s2f` finds what a config imports.
    logging.set_verbosity(logging.ERROR)  # TFDS and Orbax warn of what is meant to be so.
    # Before jax is imported: a program compiled once is read from there by whoever runs it again.
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(user_cache() / "xla")
    # JAX itself keeps what took a second; a start consists of many that take a tenth.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")
    # Where CPUs play several devices, XLA may start one program's collectives in another order on
    # each of them, and all wait for ever.
    if "host_platform_device_count" in (xla := os.environ.get("XLA_FLAGS", "")):
        os.environ["XLA_FLAGS"] = f"{xla} --xla_cpu_enable_concurrency_optimized_scheduler=false"
    if isinstance(sys.stdout, io.TextIOWrapper):  # The name of a file may be of no encoding.
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
        # All is written. Taking apart what was built up takes a tenth of the time of a short clip.
        sys.stdout.flush()
        os._exit(0)
    sys.exit(code)


if __name__ == "__main__":
    main()
