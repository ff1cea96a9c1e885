"""`ablate`: trains variants of a config and compares their scores."""

from collections.abc import Sequence

from s2f_jax.cli.command import AddFlag, Command, Flags
from s2f_jax.cli.flags import add_config, add_split


def add_flags(add: AddFlag) -> None:
    """Adds the command's flags.

    Args:
      add: argparse's add_argument.
    """
    add_config(add)
    add_split(add)
    add(
        "--workdir",
        metavar="DIR",
        help="folder for the runs of all variants; default: runs/ablations_CONFIG_NAME",
    )
    add("--variants", metavar="NAME,...", help="variants in configs/ablations; default: all")
    add(
        "--print",
        choices=("commands", "slurm"),
        help="only print how to train the variants elsewhere: a command each, or a Slurm array job",
    )


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Trains and scores the variants that are not done yet.

    Args:
      flags: The flags that were given.
      extra: --config.FIELD=VALUE arguments.

    Returns:
      Exit code.
    """
    from s2f_jax.evaluation.ablate import ablate

    names = {"split": "split", "variants": "chosen", "print": "show"}
    return ablate(
        flags.get("config"),
        extra,
        flags.get("workdir"),
        flags.get("data_dir"),
        **{argument: flags[flag] for flag, argument in names.items() if flag in flags},
    )


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="train variants of a config and tabulate their scores",
    example="--config=configs/demo.py --variants=static_baseline,l1_only",
)
