"""Random keys made from root, name and position, so that there is nothing to carry or save."""

import zlib

import jax
import jax.numpy as jnp

from data_pipelines.common.errors import UserError


def key(root: jax.Array, name: str, step: int | jax.Array = 0) -> jax.Array:
    """Makes a random key for one use at one step.

    Args:
      root: The run's root key.
      name: Name of the use.
      step: Number of the step, or an example's index.

    Returns:
      The key.
    """
    return jax.random.fold_in(jax.random.fold_in(root, zlib.crc32(name.encode())), step)


def per_example_keys(root: jax.Array, name: str, example_index: jax.Array) -> jax.Array:
    """Makes random keys for one use by each example, whichever row of whichever process it is in.

    Args:
      root: The run's root key.
      name: Name of the use.
      example_index: uint32 [B].

    Returns:
      Keys [B].
    """
    return jax.vmap(lambda index: key(root, name, index))(example_index)


def frame_noise(
    root: jax.Array, frames: int, features: int, std: float, first: int | jax.Array = 0
) -> jax.Array:
    """Draws Gaussian noise for consecutive frames.

    The noise of frame t comes from fold_in(root, t), so that chunking a clip cannot change it.

    Args:
      root: The clip's root key.
      frames: Number of frames.
      features: Numbers per frame.
      std: Standard deviation of the noise.
      first: Number of the first frame.

    Returns:
      The noise, [frames, features].
    """

    def noise(t: jax.Array) -> jax.Array:
        return jax.random.normal(jax.random.fold_in(root, t), (features,), jnp.float32)

    return std * jax.vmap(noise)(first + jnp.arange(frames))


SEEDS = 2**32


def check_seeds(*seeds: int) -> None:
    """Refuses seeds that are out of range.

    Args:
      *seeds: Seeds of spontaneous motion.

    Raises:
      UserError: One is not in [0, 2^32 - 1].
    """
    for seed in seeds:
        if not 0 <= seed < SEEDS:
            raise UserError(f"seed={seed} is out of range: give 0 to 2^32 - 1")
