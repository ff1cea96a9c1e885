"""A batch of training clips as the networks take it."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from s2f_jax.models import pixels

Batch = Mapping[str, jax.Array]  # The loader's arrays by name, with a leading batch axis.


class ClipBatch(NamedTuple):
    """Training clips, normalized.

    Attributes:
      frames: [B, T, H, W, 3] in [-1, 1].
      still: [B, H, W, 3] in [-1, 1].
      audio: [B, T * stride + window - stride] in [-1, 1].
      mask: bool [B, T]; True where there is a frame of the clip, False where there is padding.
      example_index: uint32 [B]; the place of each example in the run, from which the keys of all
        that is drawn for it are made.
    """

    frames: jax.Array
    still: jax.Array
    audio: jax.Array
    mask: jax.Array
    example_index: jax.Array


def normalize(batch: Batch) -> ClipBatch:
    """Converts the loader's integers to [-1, 1].

    Args:
      batch: `frames` uint8 [B, T, H, W, 3], `still` uint8 [B, H, W, 3], `audio` int16 [B, S], `mask`
        bool [B, T], `example_index` uint32 [B], which may be absent where nothing is drawn.

    Returns:
      The same clips in floating point.
    """
    return ClipBatch(
        frames=pixels.from_uint8(batch["frames"]),
        still=pixels.from_uint8(batch["still"]),
        audio=batch["audio"].astype(jnp.float32) / 32768,
        mask=batch["mask"],
        example_index=batch.get("example_index", jnp.zeros(len(batch["mask"]), jnp.uint32)),
    )


def take_window(batch: Batch, first: jax.Array, frames: int, stride: int, window: int) -> Batch:
    """Cuts consecutive frames and their audio out of each clip.

    Args:
      batch: Arrays as `normalize` takes them.
      first: int [B]; the first frame of each.
      frames: Number of frames.
      stride: Samples per video frame.
      window: Samples of a frame's audio window.

    Returns:
      The batch, with `frames`, `audio` and `mask` cut.
    """
    numbers = first[:, None] + jnp.arange(frames)[None]
    samples = first[:, None] * stride + jnp.arange((frames - 1) * stride + window)[None]
    audio = jnp.take_along_axis(batch["audio"], samples, axis=1)
    return {**take_frames(batch, numbers), "audio": audio}


def take_frames(batch: Batch, numbers: jax.Array) -> Batch:
    """Takes some frames of each clip, without their audio.

    Args:
      batch: Arrays as `normalize` takes them.
      numbers: int [B, n]; numbers of the frames.

    Returns:
      The batch, with `frames` and `mask` of these.
    """
    frames = jnp.take_along_axis(batch["frames"], numbers[:, :, None, None, None], axis=1)
    return {**batch, "frames": frames, "mask": jnp.take_along_axis(batch["mask"], numbers, axis=1)}
