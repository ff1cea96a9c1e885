"""What the networks share: convolutions, BatchNorm that knows padding, scanned GRUs."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from s2f_jax.ops.convolutions import conv, conv_transpose4x4_stride2

Array = jax.Array
Dtype = Any

conv_init = nn.initializers.normal(0.02)
# Without BatchNorm to set the scale of every layer, N(0, 0.02) lets the codes of narrow ones vanish.
bare_init = nn.initializers.he_normal()

CONVOLUTION = "convolution"  # The name of their outputs, which a rematerialised pass may keep.


def gru_init(key: Array, shape: Sequence[int], dtype: Dtype = jnp.float32) -> Array:
    """Xavier normal of the three gates' stacked [in, 3 * features] matrix, one gate's share."""
    fan_in, features = shape
    return math.sqrt(2 / (fan_in + 3 * features)) * jax.random.normal(key, shape, dtype)


class Conv(nn.Module):
    """1-D or 2-D convolution, torch's padding."""

    features: int
    kernel: Sequence[int]
    stride: int = 1
    padding: int = 0
    use_bias: bool = False
    dtype: Dtype = jnp.float32  # Of the compute; parameters stay float32.
    kernel_init: nn.initializers.Initializer = conv_init

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [N, *space, C] -> [N, *space, features]."""
        kernel = self.param("kernel", self.kernel_init, (*self.kernel, x.shape[-1], self.features))
        x = conv(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, self.padding)
        x = checkpoint_name(x, CONVOLUTION)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            x = x + bias.astype(self.dtype).reshape(*(1,) * (x.ndim - 1), -1)
        return x


class DoubleConv(nn.Module):
    """Transposed 4x4 convolution, stride 2: twice the height and width."""

    features: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [N, H, W, C] -> [N, 2H, 2W, features]."""
        kernel = self.param("kernel", conv_init, (4, 4, x.shape[-1], self.features))
        x = conv_transpose4x4_stride2(x.astype(self.dtype), kernel.astype(self.dtype))
        return checkpoint_name(x, CONVOLUTION)


class BatchNorm(nn.Module):
    """Over batch and space; padded frames are kept out of the statistics."""

    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None = None) -> Array:
        """x [N, *space, C], mask bool [N] (True: real) -> like x."""
        if mask is not None:
            mask = mask.reshape(-1, *(1,) * (x.ndim - 1))
        norm = nn.BatchNorm(
            use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=self.dtype, name="norm"
        )
        return norm(x, mask=mask)


class ImageEncoder(nn.Module):
    """Strided 4x4 convolutions down to 4 rows, then one that covers what is left: 6 at 128x96."""

    features: int
    width: int = 64  # Maps of the first layer; they double at each.
    norm_first: bool = True
    slope: float = 0.0  # Of the leaky ReLU for negative values; 0 is ReLU.
    dtype: Dtype = jnp.float32
    bare: bool = False  # No BatchNorm at all, and biases.

    @nn.compact
    def __call__(
        self, x: Array, train: bool, mask: Array | None = None
    ) -> tuple[Array, list[Array]]:
        """x [N, H, W, C], mask [N] -> code [N, features], the maps of the strided layers."""
        init = bare_init if self.bare else conv_init
        layer = partial(Conv, use_bias=self.bare, dtype=self.dtype, kernel_init=init)
        maps = []
        for i in range(int(math.log2(max(x.shape[1:3]))) - 2):
            x = layer(self.width * 2**i, (4, 4), 2, 1, name=f"conv{i}")(x)
            if not self.bare and (i or self.norm_first):
                x = BatchNorm(self.dtype, name=f"norm{i}")(x, train, mask)
            x = nn.leaky_relu(x, self.slope)
            maps.append(x)
        x = layer(self.features, x.shape[1:3], name="code")(x)
        return x.reshape(x.shape[0], -1), maps


class GRU(nn.Module):
    """Stacked GRU, scanned over time."""

    features: int
    layers: int = 2
    dtype: Dtype = jnp.float32

    def initial_carry(self, batch: int) -> tuple[Array, ...]:
        return (jnp.zeros((batch, self.features), self.dtype),) * self.layers

    @nn.compact
    def __call__(self, x: Array, carry: tuple[Array, ...]) -> tuple[tuple[Array, ...], Array]:
        """x [B, T, C], carry one [B, features] a layer -> new carry, [B, T, features]."""
        cell = nn.scan(
            nn.GRUCell,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=1,
            out_axes=1,
        )
        last = []
        for i in range(self.layers):
            layer = cell(
                self.features,
                kernel_init=gru_init,
                recurrent_kernel_init=gru_init,
                dtype=self.dtype,
                name=f"layer{i}",
            )
            final, x = layer(carry[i], x)
            last.append(final)
        return tuple(last), x
