"""`train`: trains a run, or resumes it."""

from collections.abc import Sequence

from s2f_jax.cli.command import AddFlag, Command, Flags, load_config, workdir_of
from s2f_jax.cli.flags import RUN, add_config, add_workdir


def add_flags(add: AddFlag) -> None:
    """Adds the command's flags.

    Args:
      add: argparse's add_argument.
    """
    add_config(add)
    add_workdir(add)
    add(
        "--start_from",
        metavar="DIR",
        help=f"initialize a new run with the networks of another: {RUN}, also of a converted run",
    )
    add(
        "--coordinator",
        metavar="HOST:PORT",
        help="address of process 0, if several processes train together",
    )
    add(
        "--processes",
        type=int,
        metavar="N",
        help="number of processes; Slurm, Open MPI and Cloud TPU set it themselves",
    )
    add("--process", type=int, metavar="I", help="index of this process, in [0, N - 1]")


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Trains.

    Args:
      flags: The flags that were given.
      extra: --config.FIELD=VALUE arguments.

    Returns:
      Exit code.
    """
    from s2f_jax.runs import cluster
    from s2f_jax.train import train

    config = load_config(flags, extra)
    cluster.join(*(flags.get(name) for name in ("coordinator", "processes", "process")))
    workdir = workdir_of(flags, config)
    return train(config, workdir, flags.get("data_dir"), flags.get("start_from"))


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="train a model; a run that was interrupted resumes",
    example="--config=configs/grid.py",
)
