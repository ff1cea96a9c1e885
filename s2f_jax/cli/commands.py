"""All commands, by groups in the order in which they are listed; what they run is not imported."""

from s2f_jax.cli import (
    ablate,
    benchmark,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    gallery,
    generate,
    prepare,
    stream,
    study,
    train,
)
from s2f_jax.cli.command import MODULE, PROGRAM

_GROUPS = {
    "data, training and evaluation": (prepare, train, evaluate, ablate),
    "video generation": (generate, stream, demo, gallery),
    "model conversion": (export, convert),
    "user studies and diagnostics": (study, doctor, benchmark),
}
COMMANDS = {
    module.__name__.rpartition(".")[2]: module.COMMAND
    for modules in _GROUPS.values()
    for module in modules
}


def usage() -> str:
    """Lists all commands.

    Returns:
      A usage line, and a line for each command.
    """
    lines = [f"usage: {PROGRAM} [COMMAND] [flags]    (or {MODULE}; no command means train)"]
    for title, modules in _GROUPS.items():
        names = [module.__name__.rpartition(".")[2] for module in modules]
        lines += ["", f"{title}:", *(f"  {n:10}{COMMANDS[n].summary}" for n in names)]
    return "\n".join([*lines, "", f"`{PROGRAM} COMMAND --help` lists a command's flags."])
