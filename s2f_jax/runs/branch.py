"""Starts a run where the first phase of another one ends, which it shares.

Runs that differ only in what begins at loss.adversarial_from, such as the ablations of the
discriminators, are one and the same up to there, bit for bit: it is trained once.
"""

from collections.abc import Collection
from typing import Any

import jax
from etils import epath

from data_pipelines.common.errors import UserError
from s2f_jax.config.schema import Config, first_phase_fields
from s2f_jax.runs import workdir
from s2f_jax.state import TrainState


def shares_first_phase(config: Config, other: Config) -> bool:
    """Tells whether two runs are the same before loss.adversarial_from.

    Args:
      config: Config of a run.
      other: Config of another one.

    Returns:
      Whether there is such a phase, and nothing that acts in it differs.
    """
    if not config.loss.adversarial_from:
        return False
    return first_phase_fields(config) == first_phase_fields(other)


def end_of_first_phase(source: epath.PathLike, step: int) -> epath.Path:
    """Finds the checkpoint at the end of a run's first phase.

    Args:
      source: The run's folder.
      step: Its loss.adversarial_from.

    Returns:
      The checkpoint's folder, which need not exist.
    """
    return epath.Path(source) / "checkpoints" / str(step)


def open_source(source: epath.PathLike, config: Config) -> Config:
    """Opens the run that another one shares its first phase with.

    Args:
      source: The run's folder.
      config: Config of the run that is to begin there, with its number of frames where it was 0.

    Returns:
      The source's config.

    Raises:
      UserError: There is no run, it is another one in the first phase, or its checkpoint of the phase's
        end is not there.
    """
    theirs = workdir.read_config(source)
    theirs.clip_frames = theirs.clip_frames or config.clip_frames
    own, other = first_phase_fields(config), first_phase_fields(theirs)
    names = sorted(own.keys() | other.keys())
    if differ := [name for name in names if own.get(name) != other.get(name)]:
        name = differ[0]
        raise UserError(
            f"--branch_from={source} is another run before loss.adversarial_from ({name}:"
            f" {other.get(name)} there, {own.get(name)} now): train without it"
        )
    step = config.loss.adversarial_from
    if not step:
        raise UserError(
            f"--branch_from={source}: --config.loss.adversarial_from=0 leaves no first phase to share:"
            " train without it"
        )
    if not end_of_first_phase(source, step).exists():
        raise UserError(
            f"--branch_from={source} has no checkpoint of step {step}, where its first phase ends:"
            " train it up to there, or train without it"
        )
    return theirs


def join(fresh: TrainState, theirs: TrainState, late: Collection[str]) -> TrainState:
    """Joins the state at the end of the first phase with networks that begin there.

    Args:
      fresh: A fresh state of the run that begins.
      theirs: The state of the run that it shares its first phase with.
      late: Networks that learn nothing in the first phase.

    Returns:
      The other's state, of the networks of the run that begins.
    """
    learnt = {
        path: leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(theirs)
        if not any(getattr(key, "key", None) in late for key in path)
    }

    def newest(path: Any, leaf: jax.Array) -> jax.Array:
        return learnt.get(path, leaf)

    return jax.tree_util.tree_map_with_path(newest, fresh)
