"""Which frames of the training clips are drawn in a step."""

import jax
import jax.numpy as jnp

from s2f_jax import losses
from s2f_jax.models.clip_batch import Batch, take_frames, take_window
from s2f_jax.models.discriminator import uniform_per_example
from s2f_jax.models.generator import Generator


def window_starts(batch: Batch, key: jax.Array, frames: int) -> jax.Array:
    """Draws where the window of each clip begins.

    Args:
      batch: Arrays of B clips, as the loader makes them.
      key: Random key of the step.
      frames: Frames of a window.

    Returns:
      int32 [B].
    """
    starts = jnp.maximum(batch["mask"].sum(axis=1) - frames, 0) + 1
    return (uniform_per_example(key, "window", batch["example_index"]) * starts).astype(jnp.int32)


def spread_frames(batch: Batch, key: jax.Array, frames: int) -> jax.Array:
    """Draws frames, one of each of as many equal parts of a clip.

    Args:
      batch: Arrays of B clips, as the loader makes them.
      key: Random key of the step.
      frames: Frames of each clip.

    Returns:
      int32 [B, frames].
    """
    uniform = uniform_per_example(key, "drawn", batch["example_index"], frames)
    lengths = batch["mask"].sum(axis=1, keepdims=True)
    return ((jnp.arange(frames)[None] + uniform) / frames * lengths).astype(jnp.int32)


def choose(
    batch: Batch,
    key: jax.Array,
    options: losses.LossOptions,
    adversarial: bool,
    generator: Generator,
) -> tuple[Batch, jax.Array | None]:
    """Chooses the frames of a step: a window of each clip if they are judged, else spread ones.

    Args:
      batch: Arrays of B clips, as the loader makes them.
      key: Random key of the step.
      options: How many.
      adversarial: Whether there are adversarial terms.
      generator: The generator, for the audio of a window.

    Returns:
      The batch with these frames, and their numbers, int32 [B, frames]; None: all.
    """
    count = options.frames(adversarial)
    if not 0 < count < batch["mask"].shape[1]:
        return batch, None
    if adversarial:
        first = window_starts(batch, key, count)
        window = take_window(batch, first, count, generator.stride, generator.window)
        return window, first[:, None] + jnp.arange(count)[None]
    drawn = spread_frames(batch, key, count)
    return take_frames(batch, drawn), drawn
