"""Identity encoder (paper 2.1.1): the still to z_id and the skip maps."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from s2f_jax.models.layers import Dtype, ImageEncoder


class IdentityEncoder(nn.Module):
    """Six strided convolutions; BatchNorm and ReLU after the first five, tanh after the last."""

    features: int = 50
    width: int = 64
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, still: jax.Array, train: bool) -> tuple[jax.Array, list[jax.Array]]:
        """still [B, H, W, 3] in [-1, 1] -> z_id [B, features], skips [B, H/2, W/2, width] ..."""
        code, skips = ImageEncoder(self.features, self.width, dtype=self.dtype, name="cnn")(
            still, train
        )
        return jnp.tanh(code), skips
