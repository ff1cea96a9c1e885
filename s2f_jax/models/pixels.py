"""Pixels as networks have them, [-1, 1], and as files have them, uint8."""

import jax
import jax.numpy as jnp


def to_uint8(x: jax.Array) -> jax.Array:
    """float in [-1, 1] -> uint8, rounded; values outside are clipped."""
    return jnp.clip(jnp.round((x + 1) * 127.5), 0, 255).astype(jnp.uint8)
