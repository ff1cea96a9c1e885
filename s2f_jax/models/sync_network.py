"""Sync network (SyncNet, Chung & Zisserman 2016): are the lips and the audio in sync?"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from s2f_jax.models.context_encoder import AudioFrameEncoder, audio_windows
from s2f_jax.models.layers import Dtype, ImageEncoder, full_precision

FRAMES = 5  # That a code of the picture sees.
_SLOPE = 0.2  # Of the leaky ReLU.
_SMALL = 1e-6


def sound_window(audio_rate: int) -> int:
    """Converts the 0.2 s of audio that a code is made of.

    Args:
      audio_rate: Sampling rate in Hz.

    Returns:
      Samples.
    """
    return audio_rate // 5


def lower_half(frames: jax.Array) -> jax.Array:
    """Crops to the lower half of the face.

    Args:
      frames: [..., H, W, 3].

    Returns:
      [..., H // 2, W, 3].
    """
    return frames[..., frames.shape[-3] - frames.shape[-3] // 2 :, :, :]


def frame_windows(frames: jax.Array) -> jax.Array:
    """Stacks every five frames in a row channel-wise.

    Args:
      frames: [B, T, H, W, 3].

    Returns:
      [B, T - 4, H, W, 15].
    """
    count = frames.shape[1] - FRAMES + 1
    return jnp.concatenate([frames[:, i : i + count] for i in range(FRAMES)], axis=-1)


def distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """Euclidean distance between codes.

    Args:
      a: [..., features].
      b: [..., features]; the other axes broadcast.

    Returns:
      [...].
    """
    # The constant gives two equal codes a gradient, of zero.
    return jnp.sqrt(jnp.sum((a - b) ** 2, axis=-1) + _SMALL)


class SyncNetwork(nn.Module):
    """Two towers into one space: five frames of the lower half of the face, and 0.2 s of audio.

    The nearer two codes, the better they go together. They lie on a sphere of a learnt radius: in
    free space, 160 steps on the demo found the moment of 28 % of all windows, on a sphere 44 %. A
    distance is trained as minus a logit: one more of it makes a match e times less likely.

    Attributes:
      audio_rate: Sampling rate in Hz; a multiple of 1000.
      features: Size of the codes.
      width: Feature maps of the first image layer; they double with each halving.
      audio_width: Feature maps of the first audio layer; they double likewise.
      dtype: Dtype of the computation; parameters stay float32.
    """

    audio_rate: int
    features: int = 256
    width: int = 64
    audio_width: int = 16
    dtype: Dtype = jnp.float32

    def setup(self) -> None:
        """Makes the layers."""
        # With BatchNorm others saw the sync discriminator collapse.
        options: dict[str, Any] = {"slope": _SLOPE, "dtype": self.dtype, "norm": "none"}
        self.image = ImageEncoder(self.features, self.width, **options)
        sizes = self.audio_rate, self.features, self.audio_width
        self.audio = AudioFrameEncoder(*sizes, **options)

        init = nn.initializers.constant(math.log(5))
        self.log_radius = self.param("log_radius", init, (), full_precision(self.dtype))

    def __call__(self, frames: jax.Array, sound: jax.Array) -> jax.Array:
        """Measures how well frames and audio go together.

        Args:
          frames: [N, 5, H, W, 3] in [-1, 1].
          sound: [N, 0.2 s] in [-1, 1].

        Returns:
          Distances of their codes, [N].
        """
        return distance(self.encode_frames(frames)[:, 0], self.encode_sound(sound))

    def encode(
        self, frames: jax.Array, audio: jax.Array, stride: int
    ) -> tuple[jax.Array, jax.Array]:
        """Encodes clips, pictures and audio.

        Args:
          frames: [B, T, H, W, 3] in [-1, 1].
          audio: [B, T * stride + 0.2 s - stride] in [-1, 1].
          stride: Samples per video frame.

        Returns:
          The codes of every five frames in a row, and of the audio at the center of each, both
          [B, T - 4, features].
        """
        windows = audio_windows(audio, stride, sound_window(self.audio_rate))
        windows = windows[:, FRAMES // 2 : -(FRAMES // 2)]
        return self.encode_frames(frames), self.encode_sound(windows)

    def encode_frames(self, frames: jax.Array) -> jax.Array:
        """Encodes every five frames in a row.

        Args:
          frames: [B, T, H, W, 3] in [-1, 1].

        Returns:
          [B, T - 4, features].
        """
        windows = frame_windows(lower_half(frames))
        codes, _ = self.image(windows.reshape(-1, *windows.shape[2:]), False)
        return self._on_sphere(codes).reshape(*windows.shape[:2], -1)

    def encode_sound(self, sound: jax.Array) -> jax.Array:
        """Encodes windows of audio.

        Args:
          sound: [..., 0.2 s] in [-1, 1].

        Returns:
          [..., features].
        """
        codes = self.audio(sound.reshape(-1, sound.shape[-1]), False)
        return self._on_sphere(codes).reshape(*sound.shape[:-1], -1)

    def _on_sphere(self, codes: jax.Array) -> jax.Array:
        codes = codes.astype(full_precision(self.dtype))
        norm = jnp.sqrt(jnp.sum(codes**2, axis=-1, keepdims=True) + _SMALL)
        return jnp.exp(self.log_radius) * codes / norm
