"""What a command of the command line is made of."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from data_pipelines.common.errors import UserError

AddFlag = Callable[..., Any]  # argparse's add_argument.
Given = dict[str, Any]  # The flags that were given; those that were not have no entry.
Run = Callable[[Given, Sequence[str]], int]


class Command(NamedTuple):
    """One word of the command line.

    Attributes:
      run: Does it. Takes the flags that were given and the arguments that are no flags of its own
        (such as --config.FIELD=VALUE), returns the exit code.
      add_flags: Adds its flags to a parser. Flags have no defaults here: those of the function that
        `run` calls are the only ones.
      summary: What it does, for the listing.
      example: Of its flags, for --help.
      atomic: Stopped, it leaves nothing half-written.
    """

    run: Run
    add_flags: Callable[[AddFlag], None]
    summary: str
    example: str
    atomic: bool = False


def call(module: str, function: str) -> Run:
    """The `run` of a command whose flags are the arguments of a function.

    Args:
      module: Its full name; imported only when the command runs.
      function: Its name there. Returning nothing means exit code 0.

    Returns:
      A function as `Command.run`.
    """

    def run(given: Given, rest: Sequence[str]) -> int:
        refuse_rest(rest)
        return getattr(importlib.import_module(module), function)(**given) or 0

    return run


def refuse_rest(rest: Sequence[str]) -> None:
    """Refuses arguments of a command that takes none beside its flags.

    Raises:
      UserError: There is one.
    """
    if rest:
        raise UserError(f"{rest[0]!r} is not a flag of this command: see --help")


def load_config(given: Mapping[str, Any], overrides: Sequence[str]) -> Any:
    """The config of --config, changed by --config.FIELD=VALUE, checked for its task.

    Raises:
      UserError: It cannot be used.
    """
    from s2f_jax.config import read
    from s2f_jax.tasks import registry

    config = read.load_config(given.get("config"), overrides)
    registry.build(config)
    return config


def default_workdir(given: Mapping[str, Any], config: Any) -> str:
    """--workdir, or where a run of this config is without it."""
    return given.get("workdir") or f"runs/{config.name}"
