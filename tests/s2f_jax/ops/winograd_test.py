"""Winograd's form is the plain correlation, gradients and all, however the frames are cut up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2f_jax.ops import convolutions, winograd

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("tile", "taps"), [(2, 2), (3, 2), (2, 3), (3, 3)])
def test_a_filter_is_a_correlation(tile, taps):
    f = winograd._transform(tile, taps)
    x, kernel = RNG.normal(size=tile + taps - 1), RNG.normal(size=taps)
    out = f.output @ ((f.kernel @ kernel) * (f.input @ x))
    np.testing.assert_allclose(out, np.correlate(x, kernel, "valid"), atol=1e-12)


def test_sizes_that_are_no_whole_number_of_tiles_have_no_filters():
    assert winograd.transforms_for((4, 5), 3) is None
    assert winograd.transforms_for((7, 6), 2) is None


@pytest.mark.parametrize("tiles", [1, 6, 1024])
@pytest.mark.parametrize("space", [(4, 3), (8, 6)])
@pytest.mark.parametrize(
    ("ours", "plain", "size", "scale"),
    [
        (convolutions.conv3x3, lambda x, k: convolutions.plain_conv(x, k, 1, 1), 3, 1),
        (convolutions.conv4x4_stride2, lambda x, k: convolutions.plain_conv(x, k, 2, 1), 4, 2),
        (convolutions.conv_transpose4x4_stride2, convolutions._plain_conv_transpose, 4, 1),
    ],
)
def test_layers_are_the_plain_convolutions(monkeypatch, ours, plain, size, scale, space, tiles):
    monkeypatch.setattr(convolutions, "MANY_POSITIONS", 0)
    monkeypatch.setattr(convolutions, "FEW_CHANNELS", 0)
    monkeypatch.setattr(winograd, "TILES_PER_CHUNK", tiles)
    x = jnp.asarray(RNG.normal(size=(3, scale * space[0], scale * space[1], 5)), jnp.float32)
    kernel = jnp.asarray(RNG.normal(size=(size, size, 5, 4)), jnp.float32)

    def gradients(function):
        out, pull = jax.vjp(function, x, kernel)
        return out, *pull(jnp.cos(out))

    # A fresh function each time: jit would find another threshold's program for `ours`.
    got = jax.jit(lambda: gradients(lambda x, kernel: ours(x, kernel)))()
    for a, b in zip(got, gradients(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
