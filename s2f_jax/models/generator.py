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
    """What a still contributes, computed once per clip.

    Attributes:
      still: [B, H, W, 3] in [-1, 1].
      z_id: [B, id_features].
      skip_terms: What each stage of the decoder adds, smallest first; of None without skips.
    """

    still: jax.Array
    z_id: jax.Array
    skip_terms: list[jax.Array] | list[None]


class Carry(NamedTuple):
    """What one frame passes to the next: the states of the two GRUs.

    Attributes:
      context: States of the context encoder's GRU, one [B, context_features] a layer; empty
        without a GRU.
      noise: State of the noise generator's GRU, [B, noise_features]; empty without noise.
    """

    context: tuple[jax.Array, ...]
    noise: tuple[jax.Array, ...]


class Generator(nn.Module):
    """Identity encoder, context encoder, noise generator and frame decoder.

    Attributes:
      height: Height of the image, in pixels.
      width_px: Width of the image, in pixels.
      audio_rate: Sampling rate in Hz; a multiple of 1000.
      fps: Frame rate of the video, frames/s.
      window: Samples of one audio frame; 2560 are 0.16 s.
      id_features: Size of z_id (paper 2.1.1).
      context_features: Size of z_c (paper 2.1.2).
      noise_features: Size of z_n (paper 2.1.3); 0: there is none.
      noise_std: Standard deviation of the noise.
      width: Feature maps of the image networks' first layer.
      audio_width: Feature maps of the audio CNN's first layer.
      copy_path: Not in the paper: a learnt mask mixes the drawn pixels and the still's.
      recurrent: False: every frame from its own audio frame alone (paper 3.3).
      skips: Whether the identity encoder's maps are passed to the decoder by skip connections.
      dtype: Dtype of the computation; parameters stay float32.
    """

    height: int = 128
    width_px: int = 96
    audio_rate: int = 16000
    fps: int = 25
    window: int = 2560
    id_features: int = 50
    context_features: int = 256
    noise_features: int = 10
    noise_std: float = 0.33
    width: int = 64
    audio_width: int = 16
    copy_path: bool = False
    recurrent: bool = True
    skips: bool = True
    dtype: Dtype = jnp.float32

    def setup(self) -> None:
        """Makes the layers."""
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
        """Samples per video frame."""
        return self.audio_rate // self.fps

    def initial_carry(self, batch: int) -> Carry:
        """Makes the states before the first frame.

        Args:
          batch: Batch size B.

        Returns:
          Zeros.
        """
        context = jnp.zeros((batch, self.context_features), self.dtype)
        noise = jnp.zeros((batch, self.noise_features), self.dtype)
        return Carry(
            (context, context) if self.recurrent else (), (noise,) if self.noise_features else ()
        )

    def encode_identity(self, still: jax.Array, train: bool = False) -> IdentityFeatures:
        """Encodes the still once per clip.

        Args:
          still: [B, H, W, 3] in [-1, 1].
          train: Whether BatchNorm uses the batch's statistics.

        Returns:
          The code z_id, and the decoder's precomputed skip terms.
        """
        z_id, skips = self.identity_encoder(still, train)
        return IdentityFeatures(still, z_id, self.frame_decoder.skip_terms(skips))

    def animate(
        self,
        identity: IdentityFeatures,
        windows: jax.Array,
        noise: jax.Array,
        carry: Carry,
        train: bool = False,
        mask: jax.Array | None = None,
        drawn: jax.Array | None = None,
    ) -> tuple[Carry, jax.Array]:
        """Draws the frames of a piece of a clip.

        Args:
          identity: The result of `encode_identity`.
          windows: [B, T, window] in [-1, 1].
          noise: [B, T, noise_features], of the scale noise_std.
          carry: Carry of the piece before, or `initial_carry`.
          train: Whether BatchNorm uses the batch's statistics.
          mask: bool [B, T]; False where there is padding.
          drawn: int [B, n]; numbers of the only frames to be drawn. All are heard.

        Returns:
          The new carry, and frames [B, T, H, W, 3] in [-1, 1], or [B, n, H, W, 3] of `drawn`.
        """
        carry, z_c, z_n = self._encode_audio(windows, noise, carry, train, mask)
        return carry, self._draw(identity, z_c, z_n, train, mask, drawn)[0]

    def _encode_audio(
        self,
        windows: jax.Array,
        noise: jax.Array,
        carry: Carry,
        train: bool,
        mask: jax.Array | None,
    ) -> tuple[Carry, jax.Array, jax.Array]:
        """Returns the new carry, z_c [B, T, context_features] and z_n [B, T, noise_features]."""
        heard = None if mask is None else mask.reshape(-1)
        context, z_c = self.context_encoder(windows, carry.context, train, heard)
        noise_carry, z_n = carry.noise, noise.astype(z_c.dtype)
        if self.noise_features:
            noise_carry, z_n = self.noise_generator(noise, carry.noise)
        return Carry(context, noise_carry), z_c, z_n

    def _draw(
        self,
        identity: IdentityFeatures,
        z_c: jax.Array,
        z_n: jax.Array,
        train: bool,
        mask: jax.Array | None,
        drawn: jax.Array | None,
    ) -> tuple[jax.Array, jax.Array | None]:
        z_id = jnp.broadcast_to(identity.z_id[:, None], (*z_c.shape[:2], self.id_features))
        z = jnp.concatenate([z_c, z_n, z_id], axis=-1)
        if drawn is not None:
            z = jnp.take_along_axis(z, drawn[..., None], axis=1)
            mask = None if mask is None else jnp.take_along_axis(mask, drawn, axis=1)
        seen = None if mask is None else mask.reshape(-1)
        return self.frame_decoder(z, identity.skip_terms, identity.still, train, seen)

    def __call__(
        self,
        still: jax.Array,
        audio: jax.Array,
        noise: jax.Array,
        train: bool = False,
        mask: jax.Array | None = None,
        drawn: jax.Array | None = None,
    ) -> jax.Array:
        """Draws whole clips.

        Args:
          still: [B, H, W, 3] in [-1, 1].
          audio: [B, T * stride + window - stride] in [-1, 1].
          noise: [B, T, noise_features], of the scale noise_std.
          train: Whether BatchNorm uses the batch's statistics.
          mask: bool [B, T]; False where there is padding.
          drawn: int [B, n]; numbers of the only frames to be drawn. All are heard.

        Returns:
          Frames [B, T, H, W, 3] in [-1, 1], or [B, n, H, W, 3] of `drawn`.
        """
        return self.draw_with_context(still, audio, noise, train, mask, drawn)[0]

    def draw_with_context(
        self,
        still: jax.Array,
        audio: jax.Array,
        noise: jax.Array,
        train: bool = False,
        mask: jax.Array | None = None,
        drawn: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array, jax.Array | None]:
        """Draws whole clips, as `__call__`, and shows what was heard and what is drawn.

        Args:
          still: [B, H, W, 3] in [-1, 1].
          audio: [B, T * stride + window - stride] in [-1, 1].
          noise: [B, T, noise_features], of the scale noise_std.
          train: Whether BatchNorm uses the batch's statistics.
          mask: bool [B, T]; False where there is padding.
          drawn: int [B, n]; numbers of the only frames to be drawn. All are heard.

        Returns:
          Frames [B, T, H, W, 3] in [-1, 1], or [B, n, H, W, 3] of `drawn`; z_c of all that is heard,
          [B, T, context_features]; and the frames' copy masks, the share of each pixel that is drawn and
          not the still's, [B, T or n, H, W, 1] (None: there is no copy path).
        """
        windows = audio_windows(audio, self.stride, self.window)
        identity = self.encode_identity(still, train)
        carry = self.initial_carry(still.shape[0])
        _, z_c, z_n = self._encode_audio(windows, noise, carry, train, mask)
        frames, share = self._draw(identity, z_c, z_n, train, mask, drawn)
        return frames, z_c, share
