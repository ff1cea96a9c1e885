"""The evaluator of each task; a task's is one line here."""

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
    """Scores a run with its task's evaluator, and writes the report into the workdir.

    Args:
      config: The run's config.
      workdir: The run's folder.
      data_dir: Folder of the shards; None: the default.
      split: Name of the split.
      rows: Rows of the report, for the task "animate" alone; empty: all.

    Returns:
      The contents of report.json, and the report's folder.

    Raises:
      UserError: Rows are given for another task, or the workdir holds no checkpoint or a run of
        another config.
    """
    if rows and config.task != "animate":
        raise UserError(f"--rows is for the task 'animate', not {config.task!r}: omit it")
    options = (rows,) if rows else ()
    return EVALUATORS[config.task](config, workdir, data_dir, split, *options)
