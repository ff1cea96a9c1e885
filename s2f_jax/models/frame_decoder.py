"""Frame decoder (paper 2.1.3): latent codes and the still's skip maps to frames, a U-Net."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from s2f_jax.models.layers import CONVOLUTION, BatchNorm, DoubleConv, Dtype, conv_init
from s2f_jax.ops.convolutions import conv


class SkipConv(nn.Module):
    """3x3 convolution of [x, skip], computed in two halves that are added.

    A convolution is linear in its input channels, and the skip is the same for every frame of a
    clip: its half is computed once per clip and never tiled over time. The numbers are the same.
    """

    features: int  # Also the channels of x and of the skip each.
    skips: bool = True
    dtype: Dtype = jnp.float32

    def setup(self):
        shape = (3, 3, (2 if self.skips else 1) * self.features, self.features)
        self.kernel = self.param("kernel", conv_init, shape)

    def of_skip(self, skip: jax.Array) -> jax.Array:
        """[B, H, W, features] -> [B, H, W, features]."""
        kernel = self.kernel[:, :, self.features :].astype(self.dtype)
        return conv(skip.astype(self.dtype), kernel, padding=1)

    def __call__(self, x: jax.Array, of_skip: jax.Array | None) -> jax.Array:
        """x [B * T, H, W, features], of_skip [B, H, W, features] -> like x."""
        x = conv(x, self.kernel[:, :, : self.features].astype(self.dtype), padding=1)
        if of_skip is None:
            return checkpoint_name(x, CONVOLUTION)
        clips = x.reshape(of_skip.shape[0], -1, *x.shape[1:]) + of_skip[:, None]
        return checkpoint_name(clips.reshape(x.shape), CONVOLUTION)


class FrameDecoder(nn.Module):
    """A dense start, then stages of a 3x3 convolution of [x, skip] and a doubling; tanh at the end.

    The first skip map (at half the image's size) is not used, as in the authors' code.
    """

    height: int = 128
    width_px: int = 96
    width: int = 64  # Maps at half the image's size; they double with each halving.
    copy_path: bool = False  # Not in the paper: a learnt mask between drawn pixels and the still's.
    skips: bool = True  # False, an ablation: the still is seen through its code alone.
    dtype: Dtype = jnp.float32

    def setup(self):
        stages = int(math.log2(max(self.height, self.width_px))) - 3
        self.maps = [self.width * 2**i for i in range(stages, -1, -1)]
        first = self.maps[0]
        self.top = (self.height >> (stages + 1), self.width_px >> (stages + 1), first)
        self.start = nn.Dense(
            math.prod(self.top), use_bias=False, kernel_init=conv_init, dtype=self.dtype
        )
        self.start_norm = BatchNorm(self.dtype)
        self.mix = [SkipConv(c, self.skips, self.dtype) for c in self.maps[:-1]]
        self.mix_norm = [BatchNorm(self.dtype) for _ in self.maps[:-1]]
        self.double = [DoubleConv(c, self.dtype) for c in self.maps[1:]]
        self.double_norm = [BatchNorm(self.dtype) for _ in self.maps[1:]]
        self.pixels = DoubleConv(4 if self.copy_path else 3, self.dtype)

    def of_skips(self, skips: Sequence[jax.Array]) -> list[jax.Array] | list[None]:
        """The identity encoder's maps, largest first -> what each stage adds, smallest first."""
        if not self.skips:
            return [None] * len(self.mix)
        used = list(reversed(skips))[: len(self.mix)]
        return [mix.of_skip(skip) for mix, skip in zip(self.mix, used, strict=True)]

    def __call__(
        self,
        z: jax.Array,
        of_skips: Sequence[jax.Array | None],
        still: jax.Array,
        train: bool,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """z [B, T, Z], of_skips, still [B, H, W, 3], mask [B * T] -> frames [B, T, H, W, 3]."""
        batch, frames, _ = z.shape
        x = self.start(z.reshape(batch * frames, -1)).reshape(-1, *self.top)
        x = nn.relu(self.start_norm(x, train, mask))
        stages = zip(self.mix, self.mix_norm, self.double, self.double_norm, of_skips, strict=True)
        for mix, mix_norm, double, double_norm, of_skip in stages:
            x = nn.relu(mix_norm(mix(x, of_skip), train, mask))
            x = nn.relu(double_norm(double(x), train, mask))
        x = self.pixels(x).astype(float).reshape(batch, frames, *still.shape[1:3], -1)
        drawn = jnp.tanh(x[..., :3])
        if not self.copy_path:
            return drawn
        share = nn.sigmoid(x[..., 3:] - 3)  # Begins as nearly a copy, also where no loss reaches.
        return share * drawn + (1 - share) * still[:, None]
