"""Generator (paper 2.1): one still and a speech clip to frames."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from s2f_jax.models.context_encoder import ContextEncoder, audio_windows
from s2f_jax.models.frame_decoder import FrameDecoder
from s2f_jax.models.identity_encoder import IdentityEncoder
from s2f_jax.models.layers import Dtype
from s2f_jax.models.noise_generator import NoiseGenerator


class IdentityFeatures(NamedTuple):
    """What a still contributes, computed once per clip."""

    still: jax.Array  # [B, H, W, 3] in [-1, 1].
    z_id: jax.Array  # [B, id_features].
    of_skips: list[jax.Array] | list[None]  # None: the decoder has no skips.


class Carry(NamedTuple):
    """What one frame passes to the next: the states of the two GRUs."""

    context: tuple[jax.Array, ...]
    noise: tuple[jax.Array, ...]


class Generator(nn.Module):
    """Identity encoder, context encoder, noise generator and frame decoder."""

    height: int = 128  # Pixels.
    width_px: int = 96  # Pixels.
    audio_rate: int = 16000  # Hz.
    fps: int = 25
    window: int = 2560  # Samples of one audio frame: 0.16 s.
    id_features: int = 50
    context_features: int = 256
    noise_features: int = 10
    noise_std: float = 0.33
    width: int = 64  # Maps of the image networks' first layer.
    audio_width: int = 16  # Maps of the audio CNN's first layer.
    copy_path: bool = False
    recurrent: bool = True  # False: every frame from its own audio frame alone (paper 3.3).
    skips: bool = True  # From the identity encoder's maps to the decoder's.
    dtype: Dtype = jnp.float32

    def setup(self):
        self.identity_encoder = IdentityEncoder(self.id_features, self.width, self.dtype)
        self.context_encoder = ContextEncoder(
            self.audio_rate, self.context_features, self.audio_width, self.recurrent, self.dtype
        )
        if self.noise_features:
            self.noise_generator = NoiseGenerator(self.noise_features, self.dtype)
        self.frame_decoder = FrameDecoder(
            self.height, self.width_px, self.width, self.copy_path, self.skips, self.dtype
        )

    @property
    def stride(self) -> int:
        """Samples a video frame."""
        return self.audio_rate // self.fps

    def initial_carry(self, batch: int) -> Carry:
        context = jnp.zeros((batch, self.context_features), self.dtype)
        noise = jnp.zeros((batch, self.noise_features), self.dtype)
        return Carry(
            (context, context) if self.recurrent else (), (noise,) if self.noise_features else ()
        )

    def identify(self, still: jax.Array, train: bool = False) -> IdentityFeatures:
        """still [B, H, W, 3] in [-1, 1] -> Identity."""
        z_id, skips = self.identity_encoder(still, train)
        return IdentityFeatures(still, z_id, self.frame_decoder.of_skips(skips))

    def animate(
        self,
        identity: IdentityFeatures,
        windows: jax.Array,
        noise: jax.Array,
        carry: Carry,
        train: bool = False,
        mask: jax.Array | None = None,
    ) -> tuple[Carry, jax.Array]:
        """windows [B, T, window], noise [B, T, noise_features], mask bool [B, T]
        -> new carry, frames [B, T, H, W, 3] in [-1, 1]."""
        if mask is not None:
            mask = mask.reshape(-1)
        context, z_c = self.context_encoder(windows, carry.context, train, mask)
        noise_carry, z_n = carry.noise, noise.astype(z_c.dtype)
        if self.noise_features:
            noise_carry, z_n = self.noise_generator(noise, carry.noise)
        z_id = jnp.broadcast_to(identity.z_id[:, None], (*z_c.shape[:2], self.id_features))
        z = jnp.concatenate([z_c, z_n, z_id], axis=-1)
        frames = self.frame_decoder(z, identity.of_skips, identity.still, train, mask)
        return Carry(context, noise_carry), frames

    def __call__(
        self,
        still: jax.Array,
        audio: jax.Array,
        noise: jax.Array,
        train: bool = False,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """still [B, H, W, 3], audio [B, T * stride + window - stride] in [-1, 1], noise [B, T, 10]
        of the scale noise_std, mask bool [B, T] -> frames [B, T, H, W, 3] in [-1, 1]."""
        windows = audio_windows(audio, self.stride, self.window)
        identity = self.identify(still, train)
        carry = self.initial_carry(still.shape[0])
        return self.animate(identity, windows, noise, carry, train, mask)[1]
