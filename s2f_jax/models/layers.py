"""Layers that the networks share: convolutions, BatchNorm that excludes padding, scanned GRUs."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from s2f_jax.ops import gru
from s2f_jax.ops.convolutions import conv, conv_transpose4x4_stride2

Array = jax.Array
Dtype = Any

conv_init = nn.initializers.normal(0.02)
# Without BatchNorm to set the scale of every layer, N(0, 0.02) lets the codes of narrow ones vanish.
bare_init = nn.initializers.he_normal()

CONVOLUTION = "convolution"  # The name of their outputs, which a rematerialised pass may keep.
# After each layer of an encoder: "batch": BatchNorm; "spectral": kernels divided by their largest
# singular value (Miyato et al. 2018), and biases; "none": biases alone.
NORMS = ("batch", "spectral", "none")


def full_precision(dtype: Dtype) -> Dtype:
    """Finds the type of parameters, logits and pixels, also where JAX's 64-bit types are on.

    Args:
      dtype: Dtype of the computation.

    Returns:
      float32, or float64 of float64.
    """
    return jnp.promote_types(dtype, jnp.float32)


def gru_init(key: Array, shape: Sequence[int], dtype: Dtype = jnp.float32) -> Array:
    """Xavier normal of the three gates' stacked matrix [in, 3 * features], for one gate.

    Args:
      key: Random key for the numbers.
      shape: [in, features] of one gate.
      dtype: Dtype of the parameters.

    Returns:
      One gate's kernel.
    """
    fan_in, features = shape
    return math.sqrt(2 / (fan_in + 3 * features)) * jax.random.normal(key, shape, dtype)


class Conv(nn.Module):
    """1-D or 2-D convolution, torch's padding.

    Attributes:
      features: Output channels.
      kernel: Size along each axis of space.
      stride: Stride along every axis.
      padding: Zeros at either end of every axis.
      use_bias: Whether the layer has a bias.
      dtype: Dtype of the computation; parameters stay float32.
      kernel_init: Initializer of the kernel.
    """

    features: int
    kernel: Sequence[int]
    stride: int = 1
    padding: int = 0
    use_bias: bool = False
    dtype: Dtype = jnp.float32
    kernel_init: nn.initializers.Initializer = conv_init

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Convolves.

        Args:
          x: [N, *space, C].

        Returns:
          [N, *space, features].
        """
        shape = (*self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, full_precision(self.dtype))
        x = conv(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, self.padding)
        x = checkpoint_name(x, CONVOLUTION)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, shape[-1:], full_precision(self.dtype))
            x = x + bias.astype(self.dtype).reshape(*(1,) * (x.ndim - 1), -1)
        return x


class ConvTranspose4x4(nn.Module):
    """Transposed 4x4 convolution, stride 2: twice the height and width.

    Attributes:
      features: Output channels.
      dtype: Dtype of the computation; parameters stay float32.
    """

    features: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Convolves.

        Args:
          x: [N, H, W, C].

        Returns:
          [N, 2H, 2W, features].
        """
        shape = (4, 4, x.shape[-1], self.features)
        kernel = self.param("kernel", conv_init, shape, full_precision(self.dtype))
        x = conv_transpose4x4_stride2(x.astype(self.dtype), kernel.astype(self.dtype))
        return checkpoint_name(x, CONVOLUTION)


class BatchNorm(nn.Module):
    """BatchNorm over batch and space that keeps padded frames out of its statistics.

    Attributes:
      dtype: Dtype of the computation; parameters stay float32.
    """

    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None = None) -> Array:
        """Normalizes.

        Args:
          x: [N, *space, C].
          train: Whether the batch's statistics are used, and the running ones updated.
          mask: bool [N]; False where there is padding.

        Returns:
          Like x.
        """
        if mask is not None:
            mask = mask.reshape(-1, *(1,) * (x.ndim - 1))
        norm = nn.BatchNorm(
            use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=self.dtype, name="norm"
        )
        return norm(x, mask=mask)


def normalized_conv(layer: Conv, x: Array, norm: str, train: bool) -> Array:
    """Convolves with the kernel, or with the kernel over its largest singular value.

    Args:
      layer: The convolution, a submodule of the caller.
      x: [N, *space, C].
      norm: One of NORMS.
      train: Whether the estimate of the singular value, one power iteration a step, is updated.

    Returns:
      [N, *space, features].
    """
    if norm != "spectral":
        return layer(x)
    return nn.SpectralNorm(layer, name=f"spectral_{layer.name}")(x, update_stats=train)


class ImageEncoder(nn.Module):
    """Strided 4x4 convolutions down to 4 rows, then one that covers what is left: 6 at 128x96.

    Attributes:
      features: Size of the code.
      width: Feature maps of the first layer; they double at each.
      norm_first: Whether there is BatchNorm after the first layer, too.
      slope: Slope of the leaky ReLU for negative values; 0 is ReLU.
      dtype: Dtype of the computation; parameters stay float32.
      norm: One of NORMS.
    """

    features: int
    width: int = 64
    norm_first: bool = True
    slope: float = 0.0
    dtype: Dtype = jnp.float32
    norm: str = "batch"

    @nn.compact
    def __call__(
        self, x: Array, train: bool, mask: Array | None = None
    ) -> tuple[Array, list[Array]]:
        """Encodes images.

        Args:
          x: [N, H, W, C].
          train: Whether BatchNorm uses the batch's statistics.
          mask: bool [N]; False where there is padding.

        Returns:
          The code [N, features], and the maps of the strided layers, largest first.
        """
        batch_norm = self.norm == "batch"
        init = conv_init if batch_norm else bare_init
        layer = partial(Conv, use_bias=not batch_norm, dtype=self.dtype, kernel_init=init)
        maps = []
        for i in range(int(math.log2(max(x.shape[1:3]))) - 2):
            conv = layer(self.width * 2**i, (4, 4), 2, 1, name=f"conv{i}")
            x = normalized_conv(conv, x, self.norm, train)
            if batch_norm and (i or self.norm_first):
                x = BatchNorm(self.dtype, name=f"norm{i}")(x, train, mask)
            x = nn.leaky_relu(x, self.slope)
            maps.append(x)
        x = normalized_conv(layer(self.features, x.shape[1:3], name="code"), x, self.norm, train)
        return x.reshape(x.shape[0], -1), maps


class GRU(nn.Module):
    """Stacked GRU: nn.scan(nn.GRUCell), computed by ops.gru, which does the same in one shorter loop.

    Attributes:
      features: Number of features of every layer.
      layers: Number of layers.
      dtype: Dtype of the computation; parameters stay float32.
    """

    features: int
    layers: int = 2
    dtype: Dtype = jnp.float32

    def initial_carry(self, batch: int) -> tuple[Array, ...]:
        """Makes the states before the first step.

        Args:
          batch: Batch size B.

        Returns:
          Zeros [B, features] for each layer.
        """
        return (jnp.zeros((batch, self.features), self.dtype),) * self.layers

    @nn.compact
    def __call__(self, x: Array, carry: tuple[Array, ...]) -> tuple[tuple[Array, ...], Array]:
        """Runs over a piece of a sequence.

        Args:
          x: [B, T, C].
          carry: [B, features] for each layer.

        Returns:
          The new carry, and the last layer's states [B, T, features].
        """
        cell = nn.scan(
            nn.GRUCell,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=1,
            out_axes=1,
        )
        inits: dict[str, Any] = {"kernel_init": gru_init, "recurrent_kernel_init": gru_init}
        if self.is_initializing():
            last = []
            for i in range(self.layers):
                final, x = cell(self.features, **inits, dtype=self.dtype, name=f"layer{i}")(
                    carry[i], x
                )
                last.append(final)
            return tuple(last), x
        last, x = gru.gru(self.weights(), carry, x.swapaxes(0, 1).astype(self.dtype))
        return last, x.swapaxes(0, 1)

    def weights(self) -> list[gru.GRUWeights]:
        """Returns the parameters in the form that ops.gru takes.

        Returns:
          The weights of each layer, of the dtype of the computation.
        """
        cells = self.variables["params"]
        stacked = [gru.stack_gates(cells[f"layer{i}"]) for i in range(self.layers)]
        return jax.tree.map(lambda w: w.astype(self.dtype), stacked)


def run_side_by_side(grus: Sequence[GRU], codes: Sequence[Array]) -> list[Array]:
    """Runs GRUs of the same size over whole sequences, in one loop.

    Args:
      grus: The GRUs.
      codes: What each runs over, [B, T, C].

    Returns:
      The last layer's states of each, [B, T, features].
    """
    batch = len(codes[0])
    if len(grus) == 1 or grus[0].is_initializing():
        return [g(x, g.initial_carry(batch))[1] for g, x in zip(grus, codes, strict=True)]
    weights, carry = (
        jax.tree.map(lambda *each: jnp.stack(each), *parts)
        for parts in ([g.weights() for g in grus], [g.initial_carry(batch) for g in grus])
    )
    x = jnp.stack(codes).transpose(2, 0, 1, 3).astype(grus[0].dtype)
    return list(gru.gru(weights, carry, x)[1].transpose(1, 2, 0, 3))
