"""Frame decoder (paper 2.1.3): latent codes and the still's skip maps to frames, a U-Net."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from s2f_jax.models.layers import (
    CONVOLUTION,
    BatchNorm,
    ConvTranspose4x4,
    Dtype,
    conv_init,
    full_precision,
)
from s2f_jax.ops.convolutions import conv


class SkipConv(nn.Module):
    """3x3 convolution of [x, skip], computed in two halves that are added.

    A convolution is linear in its input channels, and the skip is the same for every frame of a
    clip: its half is computed once per clip and never tiled over time. The numbers are the same.

    Attributes:
      features: Output channels, and those of x and of the skip each.
      skips: Whether there is a skip at all.
      dtype: Dtype of the computation; parameters stay float32.
    """

    features: int
    skips: bool = True
    dtype: Dtype = jnp.float32

    def setup(self) -> None:
        """Makes the layers."""
        shape = (3, 3, (2 if self.skips else 1) * self.features, self.features)
        self.kernel = self.param("kernel", conv_init, shape, full_precision(self.dtype))

    def skip_term(self, skip: jax.Array) -> jax.Array:
        """Computes the half that is the same for every frame of a clip.

        Args:
          skip: [B, H, W, features].

        Returns:
          The term that is added to every frame, [B, H, W, features].
        """
        kernel = self.kernel[:, :, self.features :].astype(self.dtype)
        return conv(skip.astype(self.dtype), kernel, padding=1)

    def __call__(self, x: jax.Array, skip_term: jax.Array | None) -> jax.Array:
        """Computes the other half and adds the skip's.

        Args:
          x: [B * T, H, W, features].
          skip_term: The result of `skip_term`, [B, H, W, features]; None: there is no skip.

        Returns:
          [B * T, H, W, features].
        """
        x = conv(x, self.kernel[:, :, : self.features].astype(self.dtype), padding=1)
        if skip_term is None:
            return checkpoint_name(x, CONVOLUTION)
        clips = x.reshape(skip_term.shape[0], -1, *x.shape[1:]) + skip_term[:, None]
        return checkpoint_name(clips.reshape(x.shape), CONVOLUTION)


class FrameDecoder(nn.Module):
    """A U-Net's decoder: a dense layer, then stages that each double the size, and tanh at the end.

    A stage is a 3x3 convolution of [x, skip] and a transposed 4x4 convolution of stride 2. The first
    skip map (at half the image's size) is not used, as in the authors' code.

    Attributes:
      height: Height of the image, in pixels.
      width_px: Width of the image, in pixels.
      width: Feature maps at half the image's size; they double with each halving.
      copy_path: Not in the paper: a learnt mask mixes the drawn pixels and the still's.
      skips: False is an ablation: the still is seen through its code alone.
      dtype: Dtype of the computation; parameters stay float32.
    """

    height: int = 128
    width_px: int = 96
    width: int = 64
    copy_path: bool = False
    skips: bool = True
    dtype: Dtype = jnp.float32

    def setup(self) -> None:
        """Makes the layers."""
        stages = int(math.log2(max(self.height, self.width_px))) - 3
        self.maps = [self.width * 2**i for i in range(stages, -1, -1)]
        first = self.maps[0]
        self.top = (self.height >> (stages + 1), self.width_px >> (stages + 1), first)
        size = math.prod(self.top)
        self.start = nn.Dense(size, use_bias=False, kernel_init=conv_init, dtype=self.dtype)
        self.start_norm = BatchNorm(self.dtype)
        self.mix = [SkipConv(c, self.skips, self.dtype) for c in self.maps[:-1]]
        self.mix_norm = [BatchNorm(self.dtype) for _ in self.maps[:-1]]
        self.double = [ConvTranspose4x4(c, self.dtype) for c in self.maps[1:]]
        self.double_norm = [BatchNorm(self.dtype) for _ in self.maps[1:]]
        self.pixels = ConvTranspose4x4(4 if self.copy_path else 3, self.dtype)

    def skip_terms(self, skips: Sequence[jax.Array]) -> list[jax.Array] | list[None]:
        """Computes what the still adds to each stage, once per clip.

        Args:
          skips: The identity encoder's maps, largest first.

        Returns:
          A term for each stage, smallest first; of None where there are no skips.
        """
        if not self.skips:
            return [None] * len(self.mix)
        used = list(reversed(skips))[: len(self.mix)]
        return [mix.skip_term(skip) for mix, skip in zip(self.mix, used, strict=True)]

    def __call__(
        self,
        z: jax.Array,
        skip_terms: Sequence[jax.Array | None],
        still: jax.Array,
        train: bool,
        mask: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array | None]:
        """Draws frames.

        Args:
          z: Latent codes z_c, z_n, z_id side by side, [B, T, Z].
          skip_terms: The results of `skip_terms`.
          still: [B, H, W, 3] in [-1, 1]; only the copy path sees it.
          train: Whether BatchNorm uses the batch's statistics.
          mask: bool [B * T]; False where there is padding.

        Returns:
          Frames, [B, T, H, W, 3] in [-1, 1], and what share of each pixel is drawn and not the still's,
          [B, T, H, W, 1]; None: there is no copy path.
        """
        batch, frames, _ = z.shape
        x = self.start(z.reshape(batch * frames, -1)).reshape(-1, *self.top)
        x = nn.relu(self.start_norm(x, train, mask))
        stages = zip(
            self.mix, self.mix_norm, self.double, self.double_norm, skip_terms, strict=True
        )
        for mix, mix_norm, double, double_norm, skip_term in stages:
            x = nn.relu(mix_norm(mix(x, skip_term), train, mask))
            x = nn.relu(double_norm(double(x), train, mask))
        x = self.pixels(x).astype(full_precision(self.dtype))
        x = x.reshape(batch, frames, *still.shape[1:3], -1)
        drawn = jnp.tanh(x[..., :3])
        if not self.copy_path:
            return drawn, None
        share = nn.sigmoid(x[..., 3:] - 3)  # Begins as nearly a copy, also where no loss reaches.
        return share * drawn + (1 - share) * still[:, None], share
