"""Loads trained networks for inference and evaluation, checked against their run's config.

Resuming a training is in train.py and checkpoint.py.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from etils import epath

from data_pipelines.common.errors import UserError
from s2f_jax.config.schema import Config
from s2f_jax.models import networks
from s2f_jax.models.generator import Generator
from s2f_jax.runs.checkpoint import Checkpoints, check_files, restore_variables, saved_networks
from s2f_jax.runs.workdir import read_config
from s2f_jax.state import AVERAGED, GENERATOR


def find_checkpoint(path: epath.PathLike) -> tuple[epath.Path, int]:
    """Finds the checkpoint that a path names.

    Args:
      path: A workdir (its best checkpoint) or a checkpoint step's folder.

    Returns:
      Workdir and step.

    Raises:
      UserError: There is no checkpoint.
    """
    folder = epath.Path(path).resolve()
    if folder.parent.name == "checkpoints" and folder.name.isdigit() and folder.exists():
        return folder.parent.parent, int(folder.name)
    if not folder.exists():
        raise UserError(f"there is no checkpoint at {path}: give a run's workdir")
    if (folder / "checkpoints").exists():
        check_files(folder)
        checkpoints = Checkpoints(folder, read_only=True)
        step = checkpoints.best()
        checkpoints.close()
        if step is not None:
            return folder, step
    if (folder / "config.json").exists():
        read_config(folder)  # Which says so where it is an exported bundle's.
    raise UserError(f"{path} holds no checkpoint: give the workdir of a run that has saved one")


class Trained(NamedTuple):
    """A trained generator from a checkpoint.

    Attributes:
      workdir: Workdir of the run.
      step: Step of the checkpoint.
      config: Config of the run.
      generator: The generator's module.
      variables: {"params": ..., "batch_stats": ...}.
    """

    workdir: epath.Path
    step: int
    config: Config
    generator: Generator
    variables: dict[str, Any]

    @property
    def folder(self) -> epath.Path:
        """The folder of this checkpoint, even if another one becomes the run's best meanwhile."""
        return self.workdir / "checkpoints" / str(self.step)


@contextlib.contextmanager
def all_fields_of(workdir: epath.PathLike) -> Iterator[None]:
    """Reports a missing field of a config as a UserError.

    Args:
      workdir: The run's folder, whose config is read within the context.

    Yields:
      Nothing.

    Raises:
      UserError: A field was read that the config lacks.
    """
    try:
        yield
    except (AttributeError, KeyError) as error:
        raise UserError(
            f"{workdir}/config.json lacks a field ({error}): use the version of s2f_jax in the"
            " run's run.json"
        ) from error


def restore_network(
    workdir: epath.PathLike, step: int, name: str, expected: Any, part: str = ""
) -> dict[str, Any]:
    """Restores one network of a checkpoint and checks its sizes against the config.

    Args:
      workdir: The run's folder.
      step: Step of the checkpoint.
      name: Name of the network.
      expected: The network's variables, or their shapes.
      part: Name of a module to return in place of the whole network, if it has one of that name.

    Returns:
      The network's variables, {"params": ..., "batch_stats": ...}.

    Raises:
      UserError: The checkpoint is missing or damaged, or its network has other sizes.
    """
    variables = restore_variables(workdir, step, name)
    if part:
        variables = {kind: tree.get(part, tree) for kind, tree in variables.items()}
    expected = {kind: expected.get(kind, {}) for kind in variables}
    if jax.tree.map(np.shape, variables) != jax.tree.map(np.shape, expected):
        raise UserError(
            f"{workdir}/config.json is not that of its checkpoint {step}, whose networks have"
            " other sizes: restore config.json"
        )
    return variables


def generator_name(workdir: epath.PathLike, step: int) -> str:
    """Finds which of a checkpoint's networks generates: the average, if there is one.

    Args:
      workdir: The run's folder.
      step: Step of the checkpoint.

    Returns:
      AVERAGED, or GENERATOR, also of a damaged checkpoint: restoring it says what is wrong.
    """
    try:
        saved = saved_networks(workdir, step)
    except UserError:
        return GENERATOR
    return AVERAGED if AVERAGED in saved else GENERATOR


def restore_generator(path: epath.PathLike) -> Trained:
    """Restores a trained generator.

    Args:
      path: A workdir (its best checkpoint) or a checkpoint step's folder.

    Returns:
      The generator, its weights and its config.

    Raises:
      UserError: The checkpoint is missing, damaged, or of another schema.
    """
    workdir, step = find_checkpoint(path)
    config = read_config(workdir)
    if config.get("task") not in (None, "animate"):
        raise UserError(
            f"{path} holds a run of the task {config.task!r}, which has no generator: give a run"
            " of the task 'animate'"
        )
    try:
        with all_fields_of(workdir):
            generator = networks.generator(config.data, config.model)
            networks.face(config.model)
    except UserError as error:
        raise UserError(f"{workdir}/config.json is of no generator: {error}") from error
    name = generator_name(workdir, step)
    variables = restore_network(workdir, step, name, networks.variables(generator))
    for at, leaf in jax.tree_util.tree_leaves_with_path(variables):
        if not np.isfinite(leaf).all():
            name = jax.tree_util.keystr(at, simple=True, separator=".")
            raise UserError(
                f"{path} has weights that are not finite ({name}): give another checkpoint"
            )
    return Trained(workdir, step, config, generator, variables)
