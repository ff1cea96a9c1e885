"""Pixels as networks have them, [-1, 1], and as files have them, uint8."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Array = TypeVar("Array", jax.Array, np.ndarray)


def to_uint8(x: jax.Array) -> jax.Array:
    """Converts to the levels of files.

    Args:
      x: In [-1, 1], of any shape; values outside are clipped.

    Returns:
      uint8, rounded.
    """
    return jnp.clip(jnp.round((x + 1) * 127.5), 0, 255).astype(jnp.uint8)


def from_uint8(x: Array) -> Array:
    """Converts from the levels of files; works on JAX and NumPy arrays.

    Args:
      x: uint8, of any shape.

    Returns:
      Floating point in [-1, 1].
    """
    return x.astype(float) / 127.5 - 1
