"""Sync network: do these lips and this sound belong together? (SyncNet, Chung & Zisserman 2016)"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from s2f_jax.models.context_encoder import AudioFrameEncoder, audio_windows
from s2f_jax.models.layers import Dtype, ImageEncoder

FRAMES = 5  # That a code of the picture sees.
_SLOPE = 0.2  # Of the leaky ReLU.
_SMALL = 1e-6


def sound_window(audio_rate: int) -> int:
    """Samples of the 0.2 s that a code of the sound hears."""
    return audio_rate // 5


def lower_half(frames: jax.Array) -> jax.Array:
    """[..., H, W, 3] -> [..., H // 2, W, 3]."""
    return frames[..., frames.shape[-3] - frames.shape[-3] // 2 :, :, :]


def frame_windows(frames: jax.Array) -> jax.Array:
    """[B, T, H, W, 3] -> every five frames in a row, channel-wise, [B, T - 4, H, W, 15]."""
    count = frames.shape[1] - FRAMES + 1
    return jnp.concatenate([frames[:, i : i + count] for i in range(FRAMES)], axis=-1)


def distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """Euclidean, between codes [..., features]; the other axes broadcast."""
    # The constant gives two equal codes a gradient, of zero.
    return jnp.sqrt(jnp.sum((a - b) ** 2, axis=-1) + _SMALL)


class SyncNetwork(nn.Module):
    """Two towers into one space: five frames of the lower half of the face, and 0.2 s of sound.

    The nearer two codes, the better they go together. They lie on a sphere of a learnt radius: in
    free space, 160 steps on the demo found the moment of 28 % of all windows, on a sphere 44 %. A
    distance is trained as minus a logit: one more of it makes a match e times less likely.
    """

    audio_rate: int  # Hz; a multiple of 1000.
    features: int = 256
    width: int = 64  # Maps of the first image layer; they double with each halving.
    audio_width: int = 16  # Maps of the first audio layer; they double likewise.
    dtype: Dtype = jnp.float32

    def setup(self):
        # With BatchNorm others saw the sync discriminator collapse.
        self.image = ImageEncoder(
            self.features, self.width, slope=_SLOPE, dtype=self.dtype, bare=True
        )
        self.audio = AudioFrameEncoder(
            self.audio_rate,
            self.features,
            self.audio_width,
            slope=_SLOPE,
            dtype=self.dtype,
            bare=True,
        )

        self.log_radius = self.param("log_radius", nn.initializers.constant(math.log(5)), ())

    def __call__(self, frames: jax.Array, sound: jax.Array) -> jax.Array:
        """frames [N, 5, H, W, 3] in [-1, 1], sound [N, 0.2 s] in [-1, 1] -> distance [N]."""
        return distance(self.see(frames)[:, 0], self.hear(sound))

    def encode(
        self, frames: jax.Array, audio: jax.Array, stride: int
    ) -> tuple[jax.Array, jax.Array]:
        """What `see` makes of frames [B, T, H, W, 3], and the codes of the same moments' sound.

        audio [B, T * stride + 0.2 s - stride] -> twice [B, T - 4, features].
        """
        windows = audio_windows(audio, stride, sound_window(self.audio_rate))
        return self.see(frames), self.hear(windows[:, FRAMES // 2 : -(FRAMES // 2)])

    def see(self, frames: jax.Array) -> jax.Array:
        """frames [B, T, H, W, 3] -> the code of every five in a row, [B, T - 4, features]."""
        windows = frame_windows(lower_half(frames))
        codes, _ = self.image(windows.reshape(-1, *windows.shape[2:]), False)
        return self._on_sphere(codes).reshape(*windows.shape[:2], -1)

    def hear(self, sound: jax.Array) -> jax.Array:
        """sound [..., 0.2 s] -> codes [..., features]."""
        codes = self.audio(sound.reshape(-1, sound.shape[-1]), False)
        return self._on_sphere(codes).reshape(*sound.shape[:-1], -1)

    def _on_sphere(self, codes: jax.Array) -> jax.Array:
        codes = codes.astype(float)
        norm = jnp.sqrt(jnp.sum(codes**2, axis=-1, keepdims=True) + _SMALL)
        return jnp.exp(self.log_radius).astype(float) * codes / norm
