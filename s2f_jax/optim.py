"""One Adam per network (three in the paper, 2.3), as one transformation.

The learning rates come from the config, by way of the task (tasks/animate.py for the paper's).
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

Schedule = Callable[[jax.typing.ArrayLike], jax.Array]


def epoch_decay(base: float, steps_per_epoch: int, after: int, rate: float) -> Schedule:
    """Makes a learning rate that decays after some epochs: base * rate^max(0, e - after) in epoch e.

    Args:
      base: Learning rate of the epochs up to `after`.
      steps_per_epoch: Number of steps per epoch, at least 1.
      after: Last epoch at the rate `base`, counted from 1.
      rate: Factor per later epoch; 1 keeps the learning rate fixed.

    Returns:
      The schedule over training steps.
    """

    def schedule(step: Any) -> jax.Array:
        epoch = 1 + step // steps_per_epoch
        return base * jnp.asarray(rate) ** jnp.maximum(0, epoch - after)

    return schedule


def delayed(schedule: Schedule, first_step: int) -> Schedule:
    """Makes a schedule for an optimizer that begins later than the training.

    Args:
      schedule: Learning rate over training steps.
      first_step: The training step at which the optimizer's own count begins.

    Returns:
      The schedule over the optimizer's count.
    """
    return lambda count: schedule(jnp.asarray(count) + first_step)


def multi_adam(
    schedules: Mapping[str, Schedule], b1: float, b2: float, frozen: Collection[str] = ()
) -> optax.GradientTransformation:
    """Makes one Adam per network, as one transformation.

    Args:
      schedules: Learning rate of each network; the keys are the params' top-level keys, the labels.
      b1: Adam's beta_1.
      b2: Adam's beta_2.
      frozen: Further keys, of networks that do not learn.

    Returns:
      The transformation.
    """
    transforms: dict[Any, Any] = {
        name: optax.adam(rate, b1, b2) for name, rate in schedules.items()
    }
    transforms |= {name: optax.set_to_zero() for name in frozen}
    return optax.multi_transform(transforms, {name: name for name in transforms})
