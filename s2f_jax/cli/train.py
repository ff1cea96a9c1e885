"""`train`: trains, or goes on training, a run."""

from collections.abc import Sequence

from s2f_jax.cli.command import AddFlag, Command, Given, default_workdir, load_config
from s2f_jax.cli.flags import RUN, add_config, add_workdir


def add_flags(add: AddFlag) -> None:
    """Its flags."""
    add_config(add)
    add_workdir(add)
    add("--start_from", metavar="DIR", help=f"begin with its networks: {RUN}, also a converted one")
    add("--coordinator", metavar="HOST:PORT", help="of process 0, where several train together")
    add("--processes", type=int, help="how many; Slurm, Open MPI and Cloud TPU say it themselves")
    add("--process", type=int, help="which of them this one is, counted from 0")


def run(given: Given, rest: Sequence[str]) -> int:
    """Trains, as train.train has it."""
    from s2f_jax.runs import cluster
    from s2f_jax.train import train

    config = load_config(given, rest)
    cluster.join(*(given.get(name) for name in ("coordinator", "processes", "process")))
    workdir = default_workdir(given, config)
    return train(config, workdir, given.get("data_dir"), given.get("start_from"))


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="train, or go on training, a run",
    example="--config=configs/grid.py",
)
