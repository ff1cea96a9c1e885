"""Real clips made wrong in what only time or sound can tell, for the sequence discriminator."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from s2f_jax.models.clip_batch import ClipBatch
from s2f_jax.models.discriminator import uniform_per_example

# "held": one frame throughout; "upper_held": one frame's upper half, above the moving lower halves:
# no blink; "shuffled": the frames in another order; "other_sound": another clip's sound.
NEGATIVES = ("held", "upper_held", "shuffled", "other_sound")


class NegativeSample(NamedTuple):
    """What is drawn for each clip.

    Attributes:
      kind: int32 [B]; index of the kind of its negative.
      held: int32 [B]; number of the frame that is held.
      order: int32 [B, T]; another order of its frames, padding staying where it is.
    """

    kind: jax.Array
    held: jax.Array
    order: jax.Array


def sample(key: jax.Array, clips: ClipBatch, kinds: int) -> NegativeSample:
    """Draws a kind, a frame and an order for each clip.

    Args:
      key: Random key of the step.
      clips: The batch.
      kinds: Number of kinds to draw from, at least 1.

    Returns:
      The draws; those of an example depend on its index alone.
    """
    lengths, index = clips.mask.sum(axis=1), clips.example_index
    kind = (uniform_per_example(key, "negative", index) * kinds).astype(jnp.int32)
    held = (uniform_per_example(key, "held", index) * lengths).astype(jnp.int32)
    draws = uniform_per_example(key, "order", index, clips.mask.shape[1])
    times = jnp.arange(clips.mask.shape[1])
    order = jnp.argsort(jnp.where(clips.mask, draws, 1.0 + times), axis=1).astype(jnp.int32)
    return NegativeSample(kind, held, order)


def negative(kind: str, clips: ClipBatch, drawn: NegativeSample) -> tuple[jax.Array, jax.Array]:
    """Makes every clip of a batch wrong in one way.

    Args:
      kind: One of NEGATIVES.
      clips: The batch.
      drawn: The result of `sample`.

    Returns:
      Frames [B, T, H, W, 3] and audio [B, S].
    """
    frames, audio = clips.frames, clips.audio
    if kind == "other_sound":
        # The next clip's; of a single clip its own from half its length later.
        rolled = (
            jnp.roll(audio, 1, axis=0) if len(audio) > 1 else jnp.roll(audio, audio.shape[1] // 2)
        )
        return frames, rolled
    if kind == "shuffled":
        return jnp.take_along_axis(frames, drawn.order[:, :, None, None, None], axis=1), audio
    held = jnp.take_along_axis(frames, drawn.held[:, None, None, None, None], axis=1)
    held = jnp.broadcast_to(held, frames.shape)
    if kind == "held":
        return held, audio
    half = frames.shape[2] // 2
    return jnp.concatenate([held[:, :, :half], frames[:, :, half:]], axis=2), audio


def drawn_negatives(
    kinds: tuple[str, ...], clips: ClipBatch, drawn: NegativeSample
) -> tuple[jax.Array, jax.Array]:
    """Makes each clip wrong in the way that was drawn for it.

    Args:
      kinds: Some of NEGATIVES.
      clips: The batch.
      drawn: The result of `sample`.

    Returns:
      Frames [B, T, H, W, 3] and audio [B, S].
    """
    frames, audio = clips.frames, clips.audio
    for i, kind in enumerate(kinds):
        chosen = drawn.kind == i
        wrong_frames, wrong_audio = negative(kind, clips, drawn)
        frames = jnp.where(chosen[:, None, None, None, None], wrong_frames, frames)
        audio = jnp.where(chosen[:, None], wrong_audio, audio)
    return frames, audio
