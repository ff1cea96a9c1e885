"""The low frequencies of images: the discrete cosine transform (DCT-II)."""

import jax
import jax.numpy as jnp
import numpy as np


def _cosines(size: int, count: int) -> np.ndarray:
    """The lowest rows of the orthonormal transform, [count, size]; [size, size] where there are fewer."""
    k, n = np.arange(min(count, size))[:, None], np.arange(size)[None]
    rows = np.cos(np.pi * k * (2 * n + 1) / (2 * size)) * np.sqrt(2 / size)
    rows[0] /= np.sqrt(2)
    return rows.astype(np.float32)


def low_frequencies(images: jax.Array, count: int) -> jax.Array:
    """Computes the low corner of each image's orthonormal cosine transform.

    Args:
      images: [..., H, W].
      count: Number of frequencies in either direction; an image with fewer pixels has as many as these.

    Returns:
      [..., count^2], row by row.
    """
    down, across = (_cosines(size, count) for size in images.shape[-2:])
    corner = jnp.einsum("...hw,ih,jw->...ij", images, down, across)
    return corner.reshape(*corner.shape[:-2], -1)


def smooth_images(frequencies: jax.Array, count: int, height: int, width: int) -> jax.Array:
    """Computes the images that have these low frequencies and no others.

    Args:
      frequencies: [..., count^2], as `low_frequencies` returns them for images of this size.
      count: Number of frequencies in either direction.
      height: H.
      width: W.

    Returns:
      [..., H, W].
    """
    down, across = _cosines(height, count), _cosines(width, count)
    corner = frequencies.reshape(*frequencies.shape[:-1], len(down), len(across))
    return jnp.einsum("...ij,ih,jw->...hw", corner, down, across)
