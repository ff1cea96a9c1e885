"""Random keys made from root, name and position, so that there is nothing to carry or save."""

import zlib

import jax
import jax.numpy as jnp


def key(root: jax.Array, name: str, step: int | jax.Array = 0) -> jax.Array:
    """A key for one use at one step."""
    return jax.random.fold_in(jax.random.fold_in(root, zlib.crc32(name.encode())), step)


def of_places(root: jax.Array, name: str, places: jax.Array) -> jax.Array:
    """A key for one use by each example, [B], whichever row of whichever process it is in."""
    return jax.vmap(lambda place: key(root, name, place))(places)


def frame_noise(
    root: jax.Array, frames: int, features: int, std: float, first: int | jax.Array = 0
) -> jax.Array:
    """Noise of frames first, first + 1, ...: [frames, features].

    That of frame t comes from fold_in(root, t), so that chunking a clip cannot change it.
    """

    def of(t: jax.Array) -> jax.Array:
        return jax.random.normal(jax.random.fold_in(root, t), (features,))

    return std * jax.vmap(of)(first + jnp.arange(frames))
