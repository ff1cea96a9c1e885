"""Sync discriminator (the successor's, Vougioukas et al. 2020): are these lips saying this?"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from typing_extensions import override

from s2f_jax.models.clip_batch import ClipBatch
from s2f_jax.models.discriminator import Discriminator, uniform_per_example
from s2f_jax.models.layers import Dtype, full_precision
from s2f_jax.models.sync_network import FRAMES, SyncNetwork, sound_window

# Frames between a window and the mismatched audio: more than people put up with, 0.12 s.
MISMATCH_DISTANCE = (3, 15)
_HALF = FRAMES // 2


class SyncSample(NamedTuple):
    """Windows of each clip, as frame numbers int32 [B, n].

    Attributes:
      window_centers: The third of five frames, and the center of their 0.2 s of audio.
      mismatched_centers: The center of 0.2 s of the clip's audio from another moment.
    """

    window_centers: jax.Array
    mismatched_centers: jax.Array


class SyncDiscriminator(Discriminator):
    """The sync network's two towers; the nearer their codes, the more real. Its layers are ours.

    Attributes:
      audio_rate: Sampling rate in Hz; a multiple of 1000.
      stride: Samples per video frame.
      window: Samples for whose windows, one centered on each video frame, the audio is padded.
      features: Size of the codes.
      width: Feature maps of the first image layer; they double with each halving.
      audio_width: Feature maps of the first audio layer; they double likewise.
      windows_per_clip: Windows of each clip that it sees in a step, drawn uniformly.
      dtype: Dtype of the computation; parameters stay float32.
    """

    audio_rate: int
    stride: int
    window: int
    features: int = 256
    width: int = 64
    audio_width: int = 16
    windows_per_clip: int = 4
    dtype: Dtype = jnp.float32

    @override
    def sample(self, key: jax.Array, clips: ClipBatch) -> SyncSample:
        """Draws windows uniformly, and for each a mismatched one, the farthest in a short clip."""
        lengths = clips.mask.sum(axis=1, keepdims=True)
        uniform = uniform_per_example(key, "moments", clips.example_index, self.windows_per_clip)
        # Those whose five frames are all of the clip.
        centers = _HALF + (uniform * jnp.maximum(lengths - 2 * _HALF, 1)).astype(jnp.int32)
        candidates = jnp.arange(clips.mask.shape[1])[None, None]
        inside = (candidates >= _HALF) & (candidates < lengths[..., None] - _HALF)
        distance = jnp.abs(candidates - centers[..., None])
        least, most = MISMATCH_DISTANCE
        wanted = inside & (distance >= least) & (distance <= most)
        # Among the wanted ones the highest draw; where there is none, the farthest.
        draw = uniform_per_example(key, "others", clips.example_index, *wanted.shape[1:])
        score = jnp.where(wanted, 1 + draw, inside * (1 + distance) / 1000)
        return SyncSample(centers, jnp.argmax(score, axis=-1).astype(jnp.int32))

    @override
    def inputs(
        self, frames: jax.Array, clips: ClipBatch, sample: SyncSample
    ) -> tuple[jax.Array, ...]:
        """Five frames around each center [B, n, 5, H, W, 3], the audio, and where it is centered."""
        numbers = sample.window_centers[:, :, None] + np.arange(-_HALF, _HALF + 1)[None, None]
        last = clips.mask.sum(axis=1) - 1  # Of a clip of fewer than five frames, it repeats.
        numbers = jnp.minimum(numbers, last[:, None, None])
        flat = numbers.reshape(len(numbers), -1)[:, :, None, None, None]
        windows = jnp.take_along_axis(frames, flat, axis=1)
        windows = windows.reshape(*numbers.shape, *frames.shape[2:])
        return windows, clips.audio, sample.window_centers

    @override
    def mismatched_inputs(self, clips: ClipBatch, sample: SyncSample) -> tuple[jax.Array, ...]:
        """Real frames with audio of another window of their clip."""
        windows, audio, _ = self.inputs(clips.frames, clips, sample)
        return windows, audio, sample.mismatched_centers

    @override
    def probes(self, clips: ClipBatch, sample: SyncSample) -> dict[str, tuple[jax.Array, ...]]:
        """Real frames with audio of another window of their clip."""
        return {"mismatched": self.mismatched_inputs(clips, sample)}

    @nn.compact
    def __call__(
        self, frames: jax.Array, audio: jax.Array, centers: jax.Array, train: bool = False
    ) -> jax.Array:
        """Judges windows of clips.

        Args:
          frames: [B, n, 5, H, W, 3] in [-1, 1].
          audio: [B, T * stride + window - stride] in [-1, 1].
          centers: int [B, n]; the video frame on which the 0.2 s of audio of each are centered.
          train: Ignored: there is no BatchNorm.

        Returns:
          Logits [B * n].
        """
        long = sound_window(self.audio_rate)
        # The padding in the batch may be less than what the first and last windows ask for.
        audio = jnp.pad(audio, ((0, 0), (long, long)))
        starts = long + (self.window - long) // 2 + self.stride * centers
        samples = (starts[..., None] + np.arange(long)[None, None]).reshape(len(audio), -1)
        windows = jnp.take_along_axis(audio, samples, axis=1)
        towers = SyncNetwork(
            self.audio_rate, self.features, self.width, self.audio_width, self.dtype, name="towers"
        )
        distance = towers(frames.reshape(-1, *frames.shape[2:]), windows.reshape(-1, long))
        # From the distance on of two codes that have nothing in common, sqrt(2) radii.
        init = nn.initializers.constant(7.0)
        return self.param("threshold", init, (), full_precision(self.dtype)) - distance
