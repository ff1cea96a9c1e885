"""`ablate`: trains variants of a config, scores them, makes one table."""

from collections.abc import Sequence

from s2f_jax.cli.command import AddFlag, Command, Given
from s2f_jax.cli.flags import add_config, add_split


def add_flags(add: AddFlag) -> None:
    """Its flags."""
    add_config(add)
    add_split(add)
    add("--workdir", help="a folder for all; default runs/ablations_<the config's name>")
    add("--variants", metavar="NAME,...", help="of configs/ablations; default all of them")
    add(
        "--print",
        choices=("commands", "slurm"),
        help="how to train the variants elsewhere, a command each or a Slurm array; no more",
    )


def run(given: Given, rest: Sequence[str]) -> int:
    """Trains and scores the variants that are not yet done."""
    from s2f_jax.evaluation.ablate import ablate

    return ablate(
        given.get("config"),
        rest,
        given.get("workdir"),
        given.get("data_dir"),
        split=given.get("split", "test"),
        names=given.get("variants"),
        print_only=given.get("print"),
    )


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="train variants of a config, score them, make one table",
    example="--config=configs/demo.py --variants=static_baseline,l1_only",
)
