"""Identity encoder (paper 2.1.1): the still to z_id and the skip maps."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from s2f_jax.models.layers import Dtype, ImageEncoder


class IdentityEncoder(nn.Module):
    """Six strided convolutions; BatchNorm and ReLU after the first five, tanh after the last.

    Attributes:
      features: Size of z_id.
      width: Feature maps of the first layer; they double with each halving.
      dtype: Dtype of the computation; parameters stay float32.
    """

    features: int = 50
    width: int = 64
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, still: jax.Array, train: bool) -> tuple[jax.Array, list[jax.Array]]:
        """Encodes stills.

        Args:
          still: [B, H, W, 3] in [-1, 1].
          train: Whether BatchNorm uses the batch's statistics.

        Returns:
          z_id [B, features], and the skip maps [B, H/2, W/2, width], [B, H/4, W/4, 2 * width], ...
        """
        cnn = ImageEncoder(self.features, self.width, dtype=self.dtype, name="cnn")
        code, skips = cnn(still, train)
        return jnp.tanh(code), skips
