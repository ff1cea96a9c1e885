"""What a run trains, by its config's `task`: the loop of train.py is the same for all."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import flax.linen as nn
import jax
import optax
from etils import epath

from data_pipelines.common.errors import UserError
from data_pipelines.loading.dataset import ClipDataset
from data_pipelines.loading.loader import MakeExample
from s2f_jax.config.schema import Config
from s2f_jax.optim import Schedule
from s2f_jax.runs.log import Log
from s2f_jax.state import TrainState
from s2f_jax.tasks.animate import AnimateTask
from s2f_jax.tasks.lipread import LipReadTask
from s2f_jax.tasks.sync import SyncTask


class Validation(Protocol):
    """The validation clips after each epoch."""

    def scores(
        self, state: TrainState, interrupted: Callable[[], bool] = lambda: False
    ) -> dict[str, float] | None:
        """The means over the clips, the same on every process; None if interrupted."""
        ...

    def write_samples(self, state: TrainState, workdir: epath.Path, count: int, log: Log) -> None:
        """What the networks make of `count` clips, for people, into <workdir>/samples/<step>."""
        ...


class Task(Protocol):
    """Networks, and what they learn from. Built from a config, with no data and no device."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Their names label parameters and optimizers."""
        ...

    @property
    def features(self) -> Collection[str]:
        """Of the shards, that the examples are made from."""
        ...

    @property
    def watched(self) -> Sequence[str]:
        """Validation scores; a better (higher) one resets the patience."""
        ...

    @property
    def start(self) -> int:
        """The step from which all networks train; before it only the first."""
        ...

    @property
    def example(self) -> MakeExample:
        """Makes a training example of a clip: arrays whose shapes are the same for every clip. It
        goes to the loader's processes, and so refers to nothing of jax."""
        ...

    def schedules(self, steps_per_epoch: int) -> dict[str, Schedule]:
        """The learning rate of each network over the training steps."""
        ...

    def init(self, tx: optax.GradientTransformation, key: jax.Array) -> TrainState:
        """A fresh state. Pure."""
        ...

    def step(self, tx: optax.GradientTransformation, begun: bool) -> Callable[..., Any]:
        """(state, batch, key) -> new state, metrics, terms per clip [B]. Pure.

        begun: `start` is reached. A batch holds the examples' arrays with a leading axis, and
        `place`, from which what is drawn at random for an example comes (see rngs.of_places).
        """
        ...

    def batch_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """What `step` takes of a batch, over all processes."""
        ...

    def validation(self, clips: ClipDataset, key: jax.Array) -> Validation: ...

    def progress(self, values: Mapping[str, float]) -> str:
        """A log event's values in a few words."""
        ...

    def verdict(self, scores: Mapping[str, float]) -> str:
        """Validation scores in a few words."""
        ...


TASKS: dict[str, Callable[[Config], Task]] = {
    "animate": AnimateTask,
    "lipread": LipReadTask,
    "sync": SyncTask,
}
_WHOLE = {"lipread": "a lip reader", "sync": "the sync network"}  # Whose batch has no parts.


def build(config: Config) -> Task:
    """The task of a config; raises UserError for fields that it cannot have."""
    if config.accumulate != 1 and config.task in _WHOLE:
        raise UserError(
            f"--config.accumulate={config.accumulate}: {_WHOLE[config.task]} takes its batch whole;"
            " give 1, and a smaller --config.batch_size"
        )
    if config.task not in TASKS:
        raise UserError(
            f"--config.task={config.task} is not one of {', '.join(TASKS)}: give one of them"
        )
    return TASKS[config.task](config)
