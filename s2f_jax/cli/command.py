"""What a command of the command line consists of, and its argument parser."""

import argparse
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from data_pipelines.common.errors import UserError

PROGRAM, MODULE = "s2f", "python -m s2f_jax.main"
Flags = dict[str, Any]  # The flags that were given, by name; the others have no entry.
Run = Callable[[Flags, Sequence[str]], int]

# argparse's messages to ours.
_MESSAGES = (
    (r"(--\w+)(?:/--\w+)+", r"\1"),  # The aliases of a flag.
    (r"argument (\S+): invalid int value: '(.*)'", r"\1=\2: must be an integer"),
    (r"argument (\S+): invalid float value: '(.*)'", r"\1=\2: must be a number"),
    (
        r"argument (\S+): invalid choice: '?(.*?)'? \(choose from (.*)\)",
        lambda match: f"{match[1]}={match[2]}: must be one of {match[3]}".replace("'", ""),
    ),
    (r"argument (\S+): expected (?:one|at least one) argument", r"\1: needs a value"),
    (r"argument (\S+): ", r"\1: "),
    (r"the following arguments are required: ", "required flags are missing: "),
)


class Flag(NamedTuple):
    """A flag of a command; it has no default: that of the function behind it is the only one.

    Attributes:
      names: The flag and its aliases.
      options: Keyword arguments of argparse's add_argument.
    """

    names: Sequence[str]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """The flag without dashes."""
        return self.names[0].removeprefix("--")


def flag(spec: str, help: str, **options: Any) -> Flag:
    """Declares a flag.

    Args:
      spec: The flag, aliases after |, and a placeholder for the value in the help:
        "--image|--face FILE". Without the placeholder, it is a switch.
      help: What it does, with unit, range and default.
      **options: Further arguments of argparse's add_argument. choices may be the name of a constant,
        "module:NAME", which is imported when the command runs.

    Returns:
      The flag.
    """
    names, _, metavar = spec.partition(" ")
    value = {"metavar": metavar} if metavar else {} if options else {"action": "store_true"}
    return Flag(names.split("|"), {"help": help, **value, **options})


class Command(NamedTuple):
    """One command.

    Attributes:
      run: Runs it. Takes the flags that were given and the other arguments (such as
        --config.FIELD=VALUE); returns the exit code.
      flags: Flags of the command.
      summary: What it does, for the listing.
      example: Flags for the example in --help.
      atomic: Whether it leaves no partial output when it is interrupted.
    """

    run: Run
    flags: Sequence[Flag]
    summary: str
    example: str
    atomic: bool = False

    def parse(self, name: str, arguments: Sequence[str]) -> tuple[Flags, list[str]]:
        """Parses the arguments of the command; --help prints and exits.

        Args:
          name: The command's name.
          arguments: What follows the name.

        Returns:
          The flags that were given, and the arguments that are not flags of the command.

        Raises:
          UserError: A flag is missing or has an invalid value.
        """
        parser = _Parser(
            prog=f"{PROGRAM} {name}",
            description=f"{self.summary[0].upper()}{self.summary[1:]}.",
            epilog=f"example: {PROGRAM} {name} {self.example}\n\n"
            f"`{PROGRAM} {name}` is the same as `{MODULE} {name}`.",
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=100),
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
        )
        for names, options in self.flags:
            if isinstance(options.get("choices"), str):
                options = options | {"choices": pkgutil.resolve_name(options["choices"])}
            parser.add_argument(*names, **options)
        flags, extra = parser.parse_known_args(list(arguments))
        return vars(flags), extra


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        for pattern, replacement in _MESSAGES:
            message = re.sub(pattern, replacement, message)
        raise UserError(f"{message}; see `{self.prog} --help`")


def call(function: str) -> Run:
    """Makes the `run` of a command whose flags are the arguments of a function.

    Args:
      function: The function as "module:name", imported when the command runs. It returns an exit code,
        or nothing for 0.

    Returns:
      A function as `Command.run`.
    """

    def run(flags: Flags, extra: Sequence[str]) -> int:
        reject_extra(extra)
        return pkgutil.resolve_name(function)(**flags) or 0

    return run


def reject_extra(extra: Sequence[str]) -> None:
    """Rejects arguments that are not flags of the command.

    Args:
      extra: Such arguments.

    Raises:
      UserError: There is one.
    """
    if extra:
        raise UserError(f"{extra[0]}: is not a flag of this command; see --help")


def load_config(flags: Mapping[str, Any], overrides: Sequence[str]) -> Any:
    """Loads the config of --config and checks it for its task.

    Args:
      flags: The flags that were given.
      overrides: --config.FIELD=VALUE arguments.

    Returns:
      The config.

    Raises:
      UserError: There is none, or it is invalid.
    """
    import jax

    from s2f_jax.config import read
    from s2f_jax.tasks import registry

    config = read.load_config(flags.get("config"), overrides)
    if config.model.dtype == "float64":  # The process is the command's own.
        jax.config.update("jax_enable_x64", True)
    registry.build(config)
    return config


def workdir_of(flags: Mapping[str, Any], config: Any) -> str:
    """Finds the workdir of a run.

    Args:
      flags: The flags that were given.
      config: The run's config.

    Returns:
      --workdir, or its default.
    """
    return flags.get("workdir") or f"runs/{config.name}"
