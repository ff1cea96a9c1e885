"""What a training refuses: batches that devices cannot share, types, and losses that are not finite."""

import math
from collections.abc import Mapping

import jax
import numpy as np

from data_pipelines.common.errors import TrainingFailed, UserError
from s2f_jax.config.schema import Config


def check_finite(
    number: int, metrics: Mapping[str, float], terms: Mapping[str, jax.Array], clips: list[str]
) -> None:
    """Refuses a step whose metrics are not finite.

    Args:
      number: Number of the step, counted from 1.
      metrics: Metrics of the step.
      terms: Terms per clip.
      clips: The ids of this process's clips.

    Raises:
      TrainingFailed: A metric is not finite; the message names it and, of this process's clips,
        those at fault.
    """
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if not bad:
        return
    local = [
        np.concatenate([np.asarray(shard.data) for shard in values.addressable_shards])
        for values in terms.values()
    ]
    rows = np.flatnonzero(~np.isfinite(local).all(axis=0))
    raise TrainingFailed(
        f"{', '.join(bad)} stopped being finite at step {number}"
        f" (clips here: {', '.join(clips[row] for row in rows) or 'none by themselves'});"
        " the last checkpoint is kept"
    )


def check_devices(config: Config) -> None:
    """Refuses batches that the devices cannot share.

    Args:
      config: Config of the run.

    Raises:
      UserError: A batch size is not a multiple of the number of devices.
    """
    devices, parts = jax.device_count(), config.accumulate
    if config.batch_size % (devices * parts):
        times = f" times --config.accumulate={parts}" if parts > 1 else ""
        raise UserError(
            f"--config.batch_size={config.batch_size} is not a multiple of the number of devices,"
            f" {devices}{times}: give one"
        )
    if config.eval_batch_size % devices:
        raise UserError(
            f"--config.eval_batch_size={config.eval_batch_size} is not a multiple of the number of"
            f" devices, {devices}: give one"
        )


def check_types(config: Config) -> None:
    """Refuses a compute type that would be another one in silence.

    Args:
      config: Config of the run.

    Raises:
      UserError: It is float64, and JAX's 64-bit types are off.
    """
    if config.model.dtype == "float64" and not jax.config.read("jax_enable_x64"):
        raise UserError(
            "--config.model.dtype=float64: JAX's 64-bit types are off: call"
            ' jax.config.update("jax_enable_x64", True) first, or take float32'
        )
