"""`plan`: compiles a config's step for chips that are not here."""

from collections.abc import Sequence

from s2f_jax.cli.command import Command, Flags, flag, load_config
from s2f_jax.cli.flags import CONFIG, JSON


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Plans, and prints the figures.

    Args:
      flags: The flags that were given.
      extra: --config.FIELD=VALUE arguments.

    Returns:
      Exit code.
    """
    from s2f_jax.planning.plan import plan

    load_config(flags, extra)  # Refuses what training would refuse.
    config = flags.pop("config")
    return plan(config, extra, **flags)


COMMAND = Command(
    run=run,
    flags=(
        CONFIG,
        flag(
            "--on TARGET,...",
            "chips, as v5e-8, v6e-4, v5p-16, v4-8, a100-8, h100-8 or a cloud's name of a machine",
            required=True,
        ),
        flag(
            "--clips_per_chip N",
            "clips of a step on each chip, at least 1; default: config.batch_size over the chips",
            type=int,
        ),
        flag(
            "--largest",
            "find the largest number of clips a chip holds, which takes several compiles",
        ),
        flag(
            "--clips N", "training clips of an epoch, at least 1; default: GRID's 33000", type=int
        ),
        flag("--epochs N", "epochs of a run, at least 1; default: 30", type=int),
        flag("--price CHIP=MONEY,...", "price of a chip's hour, for what a run costs: v5e=1.2"),
        flag(JSON, "write the figures to a file", dest="json_file"),
    ),
    summary="compile a config's training step for TPUs and GPUs that are not here: what fits, how fast",
    example="--config=grid --on=v5e-8,h100-8",
)
