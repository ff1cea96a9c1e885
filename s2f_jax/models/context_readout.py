"""A linear map from z_c to what the mouth looks like: deep supervision, not in the paper."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from data_pipelines.faces.boxes import mouth_box
from s2f_jax import losses
from s2f_jax.models import pixels
from s2f_jax.models.clip_batch import Batch
from s2f_jax.models.layers import Dtype, full_precision
from s2f_jax.ops.cosine_transform import low_frequencies, smooth_images

FREQUENCIES = 8  # Of the mouth's cosine transform that are read, in either direction.
_MOMENTUM = 0.99  # Of the running mean squares.


def mouth_code(frames: jax.Array) -> jax.Array:
    """Describes mouths by the low frequencies of their luminance.

    Args:
      frames: [..., H, W, 3] in [-1, 1].

    Returns:
      [..., FREQUENCIES^2], of the mean of the colours in the mouth's box (a smaller box has fewer).
    """
    rows, columns = mouth_box(*frames.shape[-3:-1])
    mouth = frames[..., rows, columns, :].mean(axis=-1)
    return low_frequencies(mouth, FREQUENCIES)


def draw_mouths(still: jax.Array, change: jax.Array) -> jax.Array:
    """Draws mouths as their code says.

    Args:
      still: [B, H, W, 3] in [-1, 1].
      change: By how much the mouths' code differs from the still's, [B, T, codes].

    Returns:
      [B, T, H, W, 3]: the still, in the mouth's box brighter and darker in the low frequencies alone.
    """
    rows, columns = mouth_box(*still.shape[1:3])
    mouth = still[:, None, rows, columns]
    light = smooth_images(change, FREQUENCIES, *mouth.shape[2:4])
    faces = jnp.repeat(still[:, None], change.shape[1], axis=1)
    return faces.at[:, :, rows, columns].set(mouth + light[..., None])


class ContextReadout(nn.Module):
    """Reads out of z_c how the mouth differs from the still's (deep supervision, Lee et al. 2015).

    In training alone: all frames that are heard teach the context encoder, also those that are not drawn
    (loss.reconstruction_frames), and what moves few pixels by little, as teeth and the tongue, counts as
    much as the jaw, since each frequency is measured in units of its own standard deviation.

    Attributes:
      dtype: Dtype of the computation; parameters stay float32.
    """

    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, z_c: jax.Array, wanted: jax.Array, mask: jax.Array, train: bool
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Reads.

        Args:
          z_c: [B, T, context_features].
          wanted: What should be read: the mouths' code less the still's, [B, T, codes].
          mask: bool [B, T]; False where there is padding.
          train: Whether the running mean squares are brought up to date.

        Returns:
          What is read and what should be, in units of the latter's running root mean square; this [codes].
        """
        full = full_precision(self.dtype)
        squares = self.variable("batch_stats", "squares", jnp.zeros, wanted.shape[-1:], full)
        steps = self.variable("batch_stats", "steps", jnp.zeros, (), full)
        now = jnp.where(mask[..., None], wanted**2, 0).sum(axis=(0, 1)) / mask.sum()
        kept = jnp.minimum(_MOMENTUM, steps.value / (1 + steps.value))
        mean = kept * squares.value + (1 - kept) * now
        if train and not self.is_initializing():
            squares.value, steps.value = mean, steps.value + 1
        read = nn.Dense(wanted.shape[-1], dtype=self.dtype, name="code")(z_c)
        scale = jnp.sqrt(mean + 1e-12)
        return read.astype(full), wanted / scale[None, None], scale


def read_mouths(
    readout: ContextReadout, variables: Any, batch: Batch, z_c: jax.Array
) -> tuple[jax.Array, jax.Array, Any]:
    """Reads the mouths of clips out of z_c, in training.

    Args:
      readout: What reads.
      variables: Its parameters and statistics.
      batch: Arrays of B clips of T frames, as the loader makes them.
      z_c: [B, T, context_features].

    Returns:
      By how much the mouths' code differs from the still's, as it is read, [B, T, codes]; the term of
      deep supervision per clip [B]; new statistics.
    """
    code, still = (mouth_code(pixels.from_uint8(batch[name])) for name in ("frames", "still"))
    inputs = z_c, code - still[:, None], batch["mask"], True
    (read, wanted, scale), new = readout.apply(variables, *inputs, mutable=["batch_stats"])
    term = losses.deep_supervision(read, wanted, batch["mask"])
    return read * scale[None, None], term, new["batch_stats"]
