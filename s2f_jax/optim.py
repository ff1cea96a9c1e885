"""Three Adam optimizers as one transformation (paper 2.3)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

Schedule = Callable[[jax.typing.ArrayLike], jax.Array]


def epoch_decay(base: float, steps_per_epoch: int, after: int, rate: float) -> Schedule:
    """base * rate^max(0, e - after) in epoch e, counted from 1; rate 1 keeps it fixed."""

    def schedule(step: Any) -> jax.Array:
        epoch = 1 + step // steps_per_epoch
        return base * jnp.asarray(rate) ** jnp.maximum(0, epoch - after)

    return schedule


def delayed(schedule: Schedule, first_step: int) -> Schedule:
    """For an optimizer whose own count begins at training step first_step."""
    return lambda count: schedule(jnp.asarray(count) + first_step)


def multi_adam(
    schedules: Mapping[str, Schedule], b1: float, b2: float
) -> optax.GradientTransformation:
    """One Adam per network; the params' top-level keys, the schedules' keys, are the labels."""
    transforms: dict[Any, Any] = {
        name: optax.adam(rate, b1, b2) for name, rate in schedules.items()
    }
    return optax.multi_transform(transforms, {name: name for name in schedules})
