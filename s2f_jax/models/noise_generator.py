"""Noise generator (paper 2.1.3): spontaneous motion, which the audio does not determine.

Its input is Gaussian noise, N(0, noise_std^2), one vector per frame. For training, step.py draws it;
for generation, rngs.frame_noise does.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from s2f_jax.models.layers import GRU, Dtype


class NoiseGenerator(nn.Module):
    """Gaussian noise to a smooth sequence of spontaneous-motion codes: 1-layer GRU, tanh.

    Attributes:
      features: Number of features of the noise and of z_n.
      dtype: Dtype of the computation; parameters stay float32.
    """

    features: int = 10
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, noise: jax.Array, carry: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """Filters noise.

        Args:
          noise: Gaussian noise, [B, T, features].
          carry: State of the GRU.

        Returns:
          The new carry, and z_n [B, T, features].
        """
        carry, z_n = GRU(self.features, layers=1, dtype=self.dtype, name="gru")(noise, carry)
        return carry, jnp.tanh(z_n)
