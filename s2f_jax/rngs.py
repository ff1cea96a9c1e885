"""Random keys made from root, name and position, so that there is nothing to carry or save."""

import zlib

import jax
import jax.numpy as jnp

from data_pipelines.common.errors import UserError


def key(root: jax.Array, name: str, step: int | jax.Array = 0) -> jax.Array:
    """A key for one use at one step."""
    return jax.random.fold_in(jax.random.fold_in(root, zlib.crc32(name.encode())), step)


def per_example_keys(root: jax.Array, name: str, places: jax.Array) -> jax.Array:
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


SEEDS = 2**32


def check_seeds(*seeds: int) -> None:
    """Raises UserError for one that is out of range."""
    for seed in seeds:
        if not 0 <= seed < SEEDS:
            raise UserError(f"seed={seed} is out of range: give 0 to 2^32 - 1")
