"""Three Adam optimizers as one transformation (paper 2.3)."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax

Schedule = Callable[[int | jax.Array], jax.Array]


def epoch_decay(
    base: float, steps_per_epoch: int, after: int, rate: float, first_step: int = 0
) -> Schedule:
    """base * rate^max(0, e - after) in epoch e, counted from 1; rate 1 keeps it fixed.

    first_step is the training step at which this optimizer's own count begins.
    """

    def schedule(count: int | jax.Array) -> jax.Array:
        epoch = 1 + (count + first_step) // steps_per_epoch
        return base * jnp.asarray(rate) ** jnp.maximum(0, epoch - after)

    return schedule


def multi_adam(
    schedules: Mapping[str, Schedule], b1: float, b2: float
) -> optax.GradientTransformation:
    """One Adam per network; the params' top-level keys, the schedules' keys, are the labels."""
    transforms = {name: optax.adam(rate, b1, b2) for name, rate in schedules.items()}
    return optax.multi_transform(transforms, {name: name for name in schedules})
