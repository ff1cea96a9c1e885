"""Sync discriminator (the successor's, Vougioukas et al. 2020): are these lips saying this?"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from s2f_jax.models.layers import Dtype
from s2f_jax.models.sync_network import SyncNetwork, sound_window


class SyncDiscriminator(nn.Module):
    """The sync network's two towers; the nearer their codes, the more real. Layers are ours."""

    audio_rate: int
    stride: int  # Samples a video frame.
    window: int  # Samples for whose windows, one centred on each video frame, the sound is padded.
    features: int = 256
    width: int = 64
    audio_width: int = 16
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, frames: jax.Array, audio: jax.Array, centres: jax.Array, train: bool = False
    ) -> jax.Array:
        """frames [B, n, 5, H, W, 3], audio [B, T * stride + window - stride], centres int [B, n],
        the video frame on which each one's 0.2 s of sound are centred -> logit [B * n]."""
        long = sound_window(self.audio_rate)
        # The padding in the batch may be less than what the first and last windows ask for.
        audio = jnp.pad(audio, ((0, 0), (long, long)))
        starts = long + (self.window - long) // 2 + self.stride * centres
        samples = (starts[..., None] + np.arange(long)[None, None]).reshape(len(audio), -1)
        sound = jnp.take_along_axis(audio, samples, axis=1)
        towers = SyncNetwork(
            self.audio_rate, self.features, self.width, self.audio_width, self.dtype, name="towers"
        )
        distance = towers(frames.reshape(-1, *frames.shape[2:]), sound.reshape(-1, long))
        # From the distance on of two codes that have nothing in common, sqrt(2) radii.
        return self.param("threshold", nn.initializers.constant(7.0), ()).astype(float) - distance
