"""`train`: trains a run, or resumes it."""

from collections.abc import Sequence

from data_pipelines.common.errors import UserError
from s2f_jax.cli.command import Command, Flags, flag, load_config, workdir_of
from s2f_jax.cli.flags import CONFIG, DATA_DIR, RUN, WORKDIR


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Trains.

    Args:
      flags: The flags that were given.
      extra: --config.FIELD=VALUE arguments.

    Returns:
      Exit code.

    Raises:
      UserError: Two flags exclude each other.
    """
    from s2f_jax.runs import cluster
    from s2f_jax.train import train

    config = load_config(flags, extra)
    cluster.join(*(flags.get(name) for name in ("coordinator", "processes", "process")))
    workdir = workdir_of(flags, config)
    start_from, branch_from = flags.get("start_from"), flags.get("branch_from")
    if start_from and branch_from:
        raise UserError(
            f"--branch_from={branch_from} takes more of a run than --start_from={start_from}: give one"
            " of them"
        )
    return train(config, workdir, flags.get("data_dir"), start_from, branch_from)


COMMAND = Command(
    run=run,
    flags=(
        *(CONFIG, DATA_DIR, WORKDIR),
        flag(
            "--start_from DIR",
            f"run, also a converted one, whose networks a new run begins with: {RUN}",
        ),
        flag(
            "--branch_from DIR",
            "run that is the same up to loss.adversarial_from, where a new run begins with its state",
        ),
        flag("--coordinator HOST:PORT", "address of process 0, if several train together"),
        flag(
            "--processes N",
            "number of processes; Slurm, Open MPI and Cloud TPU set it themselves",
            type=int,
        ),
        flag("--process I", "index of this process, in [0, N - 1]", type=int),
    ),
    summary="train a model; a run that was interrupted resumes",
    example="--config=grid",
)
