"""A trained lip reader that judges generated mouths, a perceptual loss; not in the paper."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.loading.lipreading_examples import MouthCrop
from s2f_jax import losses
from s2f_jax.models.lipnet import LipNet


def _interpolation(size: int, scale: float, offset: float, count: int) -> np.ndarray:
    """Returns the matrix [count, size] of linear interpolation at (i - offset) / scale, edges repeated."""
    at = np.clip((np.arange(count) - offset) / scale, 0, size - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(size)[None])).astype(np.float32)


def crop_mouths(frames: jax.Array, crop: MouthCrop) -> jax.Array:
    """Crops frames as `crop` does, differentiably.

    Args:
      frames: Aligned faces, [..., H, W, 3].
      crop: The crop.

    Returns:
      [..., height, width, 3].
    """
    height, width = frames.shape[-3:-1]
    (x_scale, _, x), (_, y_scale, y) = crop.transform(height, width)
    down = _interpolation(height, y_scale, y, crop.height)
    across = _interpolation(width, x_scale, x, crop.width)
    return jnp.einsum("...hwc,ih,jw->...ijc", frames, down, across)


class LipExpert(nn.Module):
    """A lip reader with its crop.

    Attributes:
      reader: The reader.
      crop: What it sees of a face.
    """

    reader: LipNet
    crop: MouthCrop

    def setup(self) -> None:
        """Takes the reader's variables as its own, as a run of the reader holds them."""
        nn.share_scope(self, self.reader)

    def __call__(self, frames: jax.Array, mask: jax.Array, train: bool = False) -> jax.Array:
        """Reads.

        Args:
          frames: Aligned faces, [B, T, H, W, 3] in [-1, 1].
          mask: bool [B, T]; False where there is padding.
          train: Changes nothing: it does not learn.

        Returns:
          Logits of letters and blank, [B, steps_per_frame * T, labels].
        """
        del train
        return self.reader((crop_mouths(frames, self.crop) + 1) / 2, mask, False)


def among_real(
    real: jax.Array, generated: jax.Array, drawn: jax.Array | None, mask: jax.Array
) -> jax.Array:
    """Puts generated frames in their places among the real ones: the reader has learnt whole sentences.

    Args:
      real: All frames of B clips, [B, T, H, W, 3] in [-1, 1].
      generated: Some of them as generated, [B, n, H, W, 3].
      drawn: Which these are, int [B, n]; None: all.
      mask: bool [B, n]; False where there is padding.

    Returns:
      [B, T, H, W, 3].
    """
    if drawn is None:
        return generated
    places = jnp.arange(len(real))[:, None], drawn
    return real.at[places].set(jnp.where(mask[:, :, None, None, None], generated, real[places]))


def divergence(
    expert: LipExpert,
    variables: Any,
    real: jax.Array,
    mask: jax.Array,
    shown: jax.Array,
    generated: jax.Array,
) -> jax.Array:
    """Computes how differently a reader reads generated and real mouths.

    Args:
      expert: The reader.
      variables: Its parameters and statistics.
      real: Real frames, [B, T, H, W, 3] in [-1, 1].
      mask: bool [B, T]; False where there is padding.
      shown: The same with generated frames among them.
      generated: bool [B, n]; True for each frame that is generated.

    Returns:
      `losses.lip_reading`, [B].
    """
    of_real: Any = expert.apply(variables, real, mask)
    of_shown: Any = expert.apply(variables, shown, mask)
    return losses.lip_reading(of_real, of_shown, mask, generated.sum(axis=1))
