"""The interface between the training loop and a task; a new task derives from `Task`.

The loop of train.py is the same for all tasks: the config's field `task` says which one it runs.
"""

import abc
import functools
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from etils import epath

from data_pipelines.loading.dataset import ClipDataset
from data_pipelines.loading.loader import MakeExample
from s2f_jax import sharding
from s2f_jax.optim import Schedule
from s2f_jax.runs.log import Log
from s2f_jax.sharding import Gather, leave
from s2f_jax.state import TrainState

# (state, batch, key) -> new state, metrics, terms per clip [B].
Step = Callable[
    [TrainState, Mapping[str, jax.Array], jax.Array],
    tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]],
]


Interrupted = Callable[[], bool]  # Asked between batches, by all processes at the same points.


def never() -> bool:
    """Interrupts nothing.

    Returns:
      False.
    """
    return False


class Validation(abc.ABC):
    """Scores the validation clips after each epoch; each process decodes its share of a batch.

    Args:
      clips: The validation split.
      batch_size: Clips per batch, over all processes.
      limit: Largest number of clips that are scored; 0: all.
    """

    def __init__(self, clips: ClipDataset, batch_size: int, limit: int):
        self._clips, self._size = clips, batch_size
        self._count = min(len(clips), limit or len(clips))
        mesh = sharding.mesh()
        self._everywhere, self._by_example = sharding.replicated(mesh), sharding.by_example(mesh)

    @functools.cached_property
    def _lengths(self) -> list[int]:
        return [len(self._clips[i]) for i in range(self._count)]

    def _compiled(self, function: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
        return jax.jit(functools.partial(function, **fixed), out_shardings=self._everywhere)

    def _whole_batch(self, indices: list[int]) -> list[int]:
        # Its last one repeated: every batch has the size that is compiled.
        return indices + indices[-1:] * (self._size - len(indices))

    @staticmethod
    def _spread(count: int, total: int) -> list[int]:
        return np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()

    @abc.abstractmethod
    def scores(
        self, state: TrainState, interrupted: Interrupted = never
    ) -> dict[str, float] | None:
        """Scores a state.

        Args:
          state: State of the training.
          interrupted: True ends the scoring.

        Returns:
          The means over the clips, the same on every process; None if interrupted.
        """

    @abc.abstractmethod
    def write_samples(self, state: TrainState, workdir: epath.Path, count: int, log: Log) -> None:
        """Writes generated samples of some clips, to look at, into <workdir>/samples/<step>.

        Args:
          state: State of the training.
          workdir: The run's folder.
          count: Number of clips; 0: none.
          log: Takes videos for TensorBoard.
        """


class Task(abc.ABC):
    """Networks and their training objective. Built from a config, without data or devices.

    Attributes:
      networks: The modules by the names that label their parameters and optimizers.
      features: Names of the shards' features that the examples are made from.
      watched: Validation scores; a better (higher) one resets the patience, as one of best_by does.
      adversarial_start_step: The step from which all networks train.
      late: Names of the networks that do not train before it.
      pretrained: Where networks come from that do not train: a run's folder and the name there.
      example: Makes a training example of a clip: arrays whose shapes are the same for every clip. It
        goes to the loader's processes, and so refers to nothing of jax.
      whole_batch: Name of the network whose loss needs the whole batch at once, so that
        --config.accumulate must be 1 (for the message that says so); empty: a batch may be split.
      gather: What `step` makes parameters whole with before it uses them, where devices share them.
    """

    networks: Mapping[str, nn.Module]
    features: Collection[str]
    watched: Sequence[str]
    adversarial_start_step: int = 0
    late: Collection[str] = ()
    pretrained: Mapping[str, tuple[str, str]] = types.MappingProxyType({})
    example: MakeExample
    whole_batch: str = ""
    gather: Gather = staticmethod(leave)

    def examples_of(self, clips: ClipDataset) -> MakeExample:
        """Makes what makes the training examples of a data set.

        Args:
          clips: The training split.

        Returns:
          `example`, or more that needs the other clips too.
        """
        del clips
        return self.example

    def write_files(self, clips: ClipDataset, folder: epath.Path) -> None:
        """Writes what a run needs beside its checkpoints, on the first process.

        Args:
          clips: The training split.
          folder: The run's folder.
        """
        del clips, folder

    @abc.abstractmethod
    def schedules(self, steps_per_epoch: int) -> dict[str, Schedule]:
        """Makes the learning rate of each network over the training steps.

        Args:
          steps_per_epoch: Number of steps per epoch, at least 1.

        Returns:
          A schedule for each network's name.
        """

    @abc.abstractmethod
    def init(self, tx: optax.GradientTransformation, key: jax.Array) -> TrainState:
        """Makes a fresh state. Pure.

        Args:
          tx: The optimizers.
          key: Random key for the parameters.

        Returns:
          The state before the first step.
        """

    @abc.abstractmethod
    def step(self, tx: optax.GradientTransformation, adversarial_phase: bool) -> Step:
        """Makes the training step, a pure function.

        A batch holds the examples' arrays with a leading axis, and `example_index`, which seeds the
        random draws of each example (see rngs.per_example_keys).

        Args:
          tx: The optimizers.
          adversarial_phase: Whether adversarial_start_step is reached.

        Returns:
          (state, batch, key) -> new state, metrics, terms per clip [B].
        """

    @abc.abstractmethod
    def batch_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Describes the arrays of a batch that `step` uses.

        Returns:
          The shape and type of each array, over all processes.
        """

    @abc.abstractmethod
    def validation(self, clips: ClipDataset, key: jax.Array) -> Validation:
        """Prepares the scoring after each epoch.

        Args:
          clips: The validation split.
          key: Random key for what is drawn, the same in every epoch.

        Returns:
          An object that scores a state.
        """

    @abc.abstractmethod
    def progress(self, values: Mapping[str, float]) -> str:
        """Summarizes a log event in a few words.

        Args:
          values: Metrics of the log event.

        Returns:
          Part of a line.
        """

    def tradeoffs(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Selects scores that are bought with each other: the best checkpoint by each is kept.

        Args:
          scores: The means that Validation.scores returns.

        Returns:
          Scores by name, higher is better; none, unless overridden.
        """
        return {}

    @abc.abstractmethod
    def verdict(self, scores: Mapping[str, float]) -> str:
        """Summarizes validation scores in a few words.

        Args:
          scores: The means that Validation.scores returns.

        Returns:
          Part of a line.
        """
