"""`ablate`: trains variants of a config and compares their scores."""

from collections.abc import Sequence

from s2f_jax.cli.command import Command, Flags, flag
from s2f_jax.cli.flags import CONFIG, DATA_DIR, SPLIT


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Trains and scores the variants that are not done yet.

    Args:
      flags: The flags that were given.
      extra: --config.FIELD=VALUE arguments.

    Returns:
      Exit code.
    """
    from s2f_jax.evaluation.ablate import ablate

    where = (flags.pop(name, None) for name in ("workdir", "data_dir"))
    return ablate(flags.pop("config", None), extra, *where, **flags)


COMMAND = Command(
    run=run,
    flags=(
        *(CONFIG, DATA_DIR, SPLIT),
        flag("--workdir DIR", "folder for all runs; default: runs/ablations_CONFIG_NAME"),
        flag("--variants NAME,...", "variants in configs/ablations; default: all", dest="names"),
        flag(
            "--seeds N",
            "trainings of each variant, with the config's seed and the following; at least 1,"
            " default: 1",
            type=int,
        ),
        flag(
            "--print",
            "only print how to train the variants elsewhere: a command each, or a Slurm array job",
            choices=("commands", "slurm"),
            dest="print_only",
        ),
    ),
    summary="train variants of a config and tabulate their scores",
    example="--config=demo --variants=static_baseline,l1_only",
)
