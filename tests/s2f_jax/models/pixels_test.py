"""Pixels go to [-1, 1] and back without loss, and NumPy's rounding is the networks' own."""

import jax
import jax.numpy as jnp
import numpy as np

from s2f_jax.models import pixels

LEVELS = np.arange(256, dtype=np.uint8)


def test_every_level_comes_back():
    assert np.array_equal(pixels.to_uint8(pixels.from_uint8(jnp.asarray(LEVELS))), LEVELS)


def test_numpy_computes_in_float32():
    values = pixels.from_uint8(LEVELS)
    assert values.dtype == np.float32 and (values[0], values[-1]) == (-1, 1)
    expected = np.array(
        [level / np.float32(127.5) - np.float32(1) for level in LEVELS.astype("f4")]
    )
    np.testing.assert_array_equal(values, expected)
    on_device = jax.device_get(pixels.from_uint8(jnp.asarray(LEVELS)))
    np.testing.assert_allclose(values, on_device, atol=1.2e-7)  # XLA divides otherwise.
