"""Conversion between the networks' pixels in [-1, 1] and 8-bit pixels."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

AnyArray = TypeVar("AnyArray", jax.Array, np.ndarray)


def to_uint8(x: jax.Array) -> jax.Array:
    """Converts network pixels to 8-bit pixels, rounded; values outside [-1, 1] are clipped.

    Args:
      x: Float of any shape, in [-1, 1].

    Returns:
      uint8, of the shape of `x`.
    """
    return jnp.clip(jnp.round((x + 1) * 127.5), 0, 255).astype(jnp.uint8)


def from_uint8(pixels: AnyArray) -> AnyArray:
    """Converts 8-bit pixels to network pixels.

    Args:
      pixels: uint8 of any shape, a NumPy or a JAX array.

    Returns:
      float32 in [-1, 1], of the same shape and kind of array.
    """
    return pixels.astype(np.float32) / np.float32(127.5) - 1
