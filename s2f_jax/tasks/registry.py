"""The tasks there are: a new one is a module of this folder and a line here."""

from collections.abc import Callable

from data_pipelines.common.errors import UserError
from s2f_jax.config.schema import Config
from s2f_jax.tasks.animate import AnimateTask
from s2f_jax.tasks.lipread import LipReadTask
from s2f_jax.tasks.sync import SyncTask
from s2f_jax.tasks.task import Task

TASKS: dict[str, Callable[[Config], Task]] = {
    "animate": AnimateTask,
    "lipread": LipReadTask,
    "sync": SyncTask,
}


def build(config: Config) -> Task:
    """Builds the task of a config.

    Args:
      config: Config of a run, with its field `task`.

    Returns:
      The task.

    Raises:
      UserError: There is no such task, or the config has fields that it cannot have.
    """
    if config.task not in TASKS:
        raise UserError(f"--config.task={config.task}: must be one of {', '.join(TASKS)}")
    task = TASKS[config.task](config)
    if config.accumulate != 1 and task.whole_batch:
        raise UserError(
            f"--config.accumulate={config.accumulate}: must be 1, since {task.whole_batch} takes its"
            " batch whole; give a smaller --config.batch_size"
        )
    return task
