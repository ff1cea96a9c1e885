"""Frame discriminator (paper 2.2.1): is a single frame realistic, given the still image?"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from typing_extensions import override

from s2f_jax.models.clip_batch import ClipBatch
from s2f_jax.models.discriminator import Discriminator, uniform_per_example
from s2f_jax.models.layers import Dtype, ImageEncoder, full_precision


class FrameDiscriminator(Discriminator):
    """A 6-layer CNN on the frame and the still, channel-wise; its layers are ours, not published.

    Attributes:
      width: Feature maps of the first layer; they double with each halving of the image.
      still: Whether it sees the still beside the frame; False is an ablation.
      frames_per_clip: Frames of each clip that it sees in a step, drawn uniformly.
      norm: One of layers.NORMS.
      dtype: Dtype of the computation; parameters stay float32.
    """

    width: int = 64
    still: bool = True
    frames_per_clip: int = 1
    norm: str = "batch"
    dtype: Dtype = jnp.float32

    @override
    def sample(self, key: jax.Array, clips: ClipBatch) -> jax.Array:
        """Draws frames of each clip uniformly, int32 [B, frames_per_clip]."""
        lengths = clips.mask.sum(axis=1, keepdims=True)
        uniform = uniform_per_example(key, "frames", clips.example_index, self.frames_per_clip)
        return (uniform * lengths).astype(jnp.int32)

    @override
    def inputs(
        self, frames: jax.Array, clips: ClipBatch, sample: jax.Array
    ) -> tuple[jax.Array, ...]:
        """The frames drawn, [B * n, H, W, 3], each beside its clip's still."""
        frames = jnp.take_along_axis(frames, sample[:, :, None, None, None], axis=1)
        stills = jnp.broadcast_to(clips.still[:, None], frames.shape)
        return frames.reshape(-1, *frames.shape[2:]), stills.reshape(-1, *frames.shape[2:])

    @nn.compact
    def __call__(self, frame: jax.Array, still: jax.Array, train: bool) -> jax.Array:
        """Judges single frames.

        Args:
          frame: [N, H, W, 3] in [-1, 1].
          still: [N, H, W, 3] in [-1, 1].
          train: Whether BatchNorm uses the batch's statistics.

        Returns:
          Logits [N].
        """
        cnn = ImageEncoder(1, self.width, False, 0.2, self.dtype, self.norm, name="cnn")
        seen = jnp.concatenate([frame, still], axis=-1) if self.still else frame
        logit, _ = cnn(seen, train)
        return logit[:, 0].astype(full_precision(self.dtype))
