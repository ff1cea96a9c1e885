"""What scores the runs of each task; a new one is a line here."""

from collections.abc import Sequence
from typing import Any

from etils import epath

from data_pipelines.common.errors import UserError
from s2f_jax.config.schema import Config
from s2f_jax.evaluation.evaluate import evaluate_run
from s2f_jax.evaluation.lip_reader import evaluate_lip_reader
from s2f_jax.evaluation.sync_offsets import evaluate_sync_network

EVALUATORS = {
    "animate": evaluate_run,
    "lipread": evaluate_lip_reader,
    "sync": evaluate_sync_network,
}


def evaluate(
    config: Config, workdir: str, data_dir: str | None, split: str, rows: Sequence[str] = ()
) -> tuple[dict[str, Any], epath.Path]:
    """Scores a run by what its task has for that, and writes the report.

    Args:
      config: Of the run.
      workdir: Its folder.
      data_dir: Where the shards are; None for the default.
      split: Whose clips are scored.
      rows: Of the report, for the task "animate" alone; empty: all.

    Returns:
      What report.json holds, and the folder that it is in.

    Raises:
      UserError: Rows for another task, a workdir without a checkpoint or of another config.
    """
    if rows and config.task != "animate":
        raise UserError(f"--rows is for the task 'animate', not {config.task!r}: leave it out")
    of_rows = (rows,) if rows else ()
    return EVALUATORS[config.task](config, workdir, data_dir, split, *of_rows)
