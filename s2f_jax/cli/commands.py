"""All commands, by groups in the order in which they are listed; what they run is not imported."""

import importlib

from s2f_jax.cli.command import MODULE, PROGRAM, Command

_GROUPS = {
    "data, training and evaluation": ("prepare", "train", "evaluate", "ablate"),
    "video generation": ("generate", "stream", "demo", "gallery"),
    "model conversion": ("export", "convert"),
    "user studies and diagnostics": ("study", "doctor", "benchmark", "plan"),
}
COMMANDS: dict[str, Command] = {
    name: importlib.import_module(f"s2f_jax.cli.{name}").COMMAND
    for names in _GROUPS.values()
    for name in names
}


def usage() -> str:
    """Lists all commands.

    Returns:
      A usage line, and a line for each command.
    """
    lines = [f"usage: {PROGRAM} [COMMAND] [flags]    (or {MODULE}; no command means train)"]
    for title, names in _GROUPS.items():
        lines += ["", f"{title}:", *(f"  {n:10}{COMMANDS[n].summary}" for n in names)]
    return "\n".join([*lines, "", f"`{PROGRAM} COMMAND --help` lists a command's flags."])
