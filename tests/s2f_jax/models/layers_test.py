"""The fast forms are the plain convolutions, gradients included."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2f_jax.models import layers
from s2f_jax.ops import convolutions

RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def assert_same_with_gradients(ours, plain, *inputs):
    def gradients(function):
        out, pull = jax.vjp(function, *inputs)
        return out, *pull(jnp.cos(out))

    for a, b in zip(jax.jit(gradients, static_argnums=0)(ours), gradients(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("x", "kernel", "stride", "padding"),
    [
        ((2, 8, 6, 3), (4, 4, 3, 5), 2, 1),
        ((2, 4, 3, 8), (3, 3, 8, 5), 1, 1),
        ((2, 8, 6, 3), (3, 3, 3, 5), 1, 1),
        ((3, 4, 3, 8), (4, 3, 8, 2), 1, 0),
        ((2, 160, 1), (20, 1, 3), 4, 8),
        ((2, 25, 4), (10, 4, 3), 5, 3),
        ((2, 20, 4), (4, 4, 3), 2, 1),
        ((2, 5, 4), (5, 4, 3), 1, 0),
    ],
)
def test_conv_is_the_plain_convolution(x, kernel, stride, padding):
    assert_same_with_gradients(
        lambda x, k: convolutions.conv(x, k, stride, padding),
        lambda x, k: convolutions.plain_conv(x, k, stride, padding),
        normal(*x),
        normal(*kernel),
    )


@pytest.mark.parametrize("space", [(4, 3), (8, 6)])
@pytest.mark.parametrize("features", [3, 6])
def test_double_is_flax_conv_transpose(space, features):
    x, kernel = normal(2, *space, 5), normal(4, 4, 5, features)
    transpose = nn.ConvTranspose(features, (4, 4), (2, 2), padding="SAME", use_bias=False)
    assert_same_with_gradients(
        convolutions.conv_transpose4x4_stride2,
        lambda x, k: transpose.apply({"params": {"kernel": k}}, x),
        x,
        kernel,
    )


def test_double_is_the_adjoint_of_halve():
    x, y, kernel = normal(2, 8, 6, 5), normal(2, 4, 3, 7), normal(4, 4, 5, 7)
    forward = jnp.vdot(convolutions.conv4x4_stride2(x, kernel), y)
    back = jnp.vdot(
        x, convolutions.conv_transpose4x4_stride2(y, convolutions.transpose_kernel(kernel))
    )
    np.testing.assert_allclose(forward, back, rtol=1e-5)


def test_other_platforms_get_plain_convolutions():
    x, kernel = jnp.zeros((1, 4, 3, 8)), jnp.zeros((4, 4, 8, 8))
    exported = jax.export.export(
        jax.jit(convolutions.conv_transpose4x4_stride2), platforms=["tpu"]
    )(x, kernel)
    assert "dot_general" not in exported.mlir_module()
    assert "stablehlo.convolution" in exported.mlir_module()


@pytest.mark.parametrize(
    ("layer", "shape", "kernel"),
    [
        (convolutions.conv3x3, (1, 4, 3, 8), (3, 3, 8, 6)),
        (convolutions.conv_transpose4x4_stride2, (1, 4, 3, 8), (4, 4, 8, 6)),  # A matrix.
        (convolutions.conv_transpose4x4_stride2, (1, 8, 6, 8), (4, 4, 8, 6)),  # Four phases.
    ],
)
def test_other_platforms_get_an_arranged_kernel_back(layer, shape, kernel):
    given = normal(*kernel)
    ready = convolutions.pack_kernel(layer, given, shape)
    np.testing.assert_array_equal(ready.algorithm.unpack(ready.parts), given)


def test_batch_norm_leaves_padding_out_of_the_statistics():
    x = normal(4, 3, 3, 2)
    mask = jnp.array([True, True, False, True])
    norm = layers.BatchNorm()
    variables = norm.init(jax.random.key(0), x, True)
    _, masked = norm.apply(variables, x, True, mask, mutable=["batch_stats"])
    _, without = norm.apply(variables, x[np.array(mask)], True, mutable=["batch_stats"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), masked, without)


def test_gru_chunk_by_chunk_is_the_whole():
    gru = layers.GRU(5)
    x, carry = normal(2, 7, 3), gru.initial_carry(2)
    variables = gru.init(jax.random.key(0), x, carry)
    run = jax.jit(gru.apply)
    _, whole = run(variables, x, carry)
    parts = []
    for part in (x[:, :3], x[:, 3:4], x[:, 4:]):
        carry, y = run(variables, part, carry)
        parts.append(y)
    np.testing.assert_allclose(jnp.concatenate(parts, axis=1), whole, atol=1e-6)
