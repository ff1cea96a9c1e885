"""Starts a run with another run's networks: fine-tuning, or a second stage of training."""

from typing import Any

import jax
import numpy as np
from etils import epath

from data_pipelines.common.errors import UserError
from s2f_jax.config import schema
from s2f_jax.runs import workdir
from s2f_jax.runs.checkpoint import restore_variables, saved_networks
from s2f_jax.runs.restore import find_checkpoint
from s2f_jax.state import AVERAGED, GENERATOR, TrainState


def begin(
    state: TrainState, source: epath.PathLike, data: schema.Config
) -> tuple[TrainState, dict[str, Any]]:
    """Starts a run with another run's networks.

    Args:
      state: A fresh state.
      source: A run's workdir (its best checkpoint) or a checkpoint step. Networks that it lacks, as
        a run of the authors' weights lacks the discriminators, stay fresh, and so do all
        optimizers.
      data: Section of this run's config.

    Returns:
      The state with those networks, and an entry for run.json that names them.

    Raises:
      UserError: There is no checkpoint, or a damaged one, it was trained at other rates, none of
        its networks is in the state, or one has other sizes there.
    """
    folder, step = find_checkpoint(source)
    theirs = workdir.read_config(folder).data
    for rate in ("fps", "audio_rate"):  # Of which the sizes of networks need not tell.
        if theirs[rate] != data[rate]:
            raise UserError(
                f"--start_from={source} was trained at {rate}={theirs[rate]} and this config has"
                f" {data[rate]}: give --config.data.{rate}={theirs[rate]}"
            )
    saved = saved_networks(folder, step)
    names = [name for name in state.params if name in saved]
    if not names:
        raise UserError(
            f"--start_from={source} has none of the networks {', '.join(state.params)}: give a run of"
            " the same task"
        )
    fresh = {"params": dict(state.params), "batch_stats": dict(state.batch_stats)}
    if AVERAGED in state.params and GENERATOR in names and AVERAGED not in names:
        names.append(AVERAGED)
    for name in names:
        variables = restore_variables(folder, step, name if name in saved else GENERATOR)
        _fill(fresh, name, variables, f"--start_from={source} has a {name}")
    state = _placed(state, fresh)
    if jax.process_index() == 0:
        print(f"begins with {', '.join(names)} of {folder}, step {step}", flush=True)
    source_record = {"started_from": {"run": folder.name, "step": step, "networks": names}}
    return state, source_record


def take(state: TrainState, name: str, source: tuple[epath.PathLike, str]) -> TrainState:
    """Replaces one network of a state by a trained one.

    Args:
      state: A fresh state.
      name: Of the network.
      source: A run's workdir (its best checkpoint) or a checkpoint step, and the network's name there.

    Returns:
      The state with that network.

    Raises:
      UserError: There is no checkpoint, or a damaged one, or it has other sizes.
    """
    path, theirs = source
    folder, step = find_checkpoint(path)
    if theirs not in saved_networks(folder, step):
        raise UserError(f"{path} holds no {theirs}: give a run of one")
    fresh = {"params": dict(state.params), "batch_stats": dict(state.batch_stats)}
    _fill(fresh, name, restore_variables(folder, step, theirs), f"{path} has a {theirs}")
    return _placed(state, fresh)


def _fill(fresh: dict[str, Any], name: str, variables: dict[str, Any], what: str) -> None:
    """Puts one network's variables among those of a state; `what` begins the message about sizes."""
    for collection, own in fresh.items():
        _check_sizes(own[name], variables[collection], what)
        own[name] = variables[collection]


def _placed(state: TrainState, variables: dict[str, Any]) -> TrainState:
    """Returns the state with other parameters and statistics, where its own are."""
    where = jax.tree.map(lambda leaf: leaf.sharding, (state.params, state.batch_stats))
    place = jax.jit(lambda trees: trees, out_shardings=where)
    # By way of the host, where what is whole on one device is whole for every process.
    params, stats = place(jax.device_get((variables["params"], variables["batch_stats"])))
    return state.replace(params=params, batch_stats=stats)


def _check_sizes(own: object, other: object, what: str) -> None:
    sizes, others = (
        {
            jax.tree_util.keystr(at, simple=True, separator="."): np.shape(leaf)
            for at, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }
        for tree in (own, other)
    )
    if differ := sorted(
        at for at in sizes.keys() | others.keys() if sizes.get(at) != others.get(at)
    ):
        at = differ[0]
        raise UserError(
            f"{what} of other sizes ({at}: {others.get(at)} there, {sizes.get(at)} here): give the"
            " config.model and config.data of that run"
        )
