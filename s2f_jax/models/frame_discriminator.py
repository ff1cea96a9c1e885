"""Frame discriminator (paper 2.2.1): is this frame real, given the still?"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from s2f_jax.models.layers import Dtype, ImageEncoder


class FrameDiscriminator(nn.Module):
    """6-layer CNN on the frame and the still, channel-wise; the layers are ours, not published."""

    width: int = 64
    still: bool = True  # It sees the still too; without, an ablation.
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, frame: jax.Array, still: jax.Array, train: bool) -> jax.Array:
        """frame [N, H, W, 3], still [N, H, W, 3] -> logit [N]."""
        cnn = ImageEncoder(1, self.width, False, 0.2, self.dtype, name="cnn")
        seen = jnp.concatenate([frame, still], axis=-1) if self.still else frame
        logit, _ = cnn(seen, train)
        return logit[:, 0].astype(float)
