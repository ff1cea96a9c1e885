"""What adversarial training is for, without landmarks: sharp frames, live eyes, a use of the noise."""

import math

import jax
import jax.numpy as jnp

from data_pipelines.faces.boxes import eye_box, mouth_box
from s2f_jax.metrics.image import mean_over_frames


def sharpness(generated: jax.Array, real: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean absolute Laplacian of the green channel, generated over real; 1 is as sharp.

    Args:
      generated: uint8 [B, T, H, W, 3].
      real: uint8 [B, T, H, W, 3].
      mask: bool [B, T], the valid frames.

    Returns:
      float32 [B].
    """

    def strength(frames: jax.Array) -> jax.Array:
        x = frames[..., 1].astype(jnp.float32)
        inner = x[:, :, 1:-1, 1:-1]
        around = x[:, :, :-2, 1:-1] + x[:, :, 2:, 1:-1] + x[:, :, 1:-1, :-2] + x[:, :, 1:-1, 2:]
        return mean_over_frames(jnp.abs(4 * inner - around).mean(axis=(2, 3)), mask)

    return strength(generated) / strength(real)


def eye_motion(generated: jax.Array, real: jax.Array, mask: jax.Array) -> jax.Array:
    """Standard deviation over time around the eyes, generated over real; 1 is as lively.

    Args:
      generated: uint8 [B, T, H, W, 3].
      real: uint8 [B, T, H, W, 3].
      mask: bool [B, T], the valid frames.

    Returns:
      float32 [B].
    """
    rows, columns = eye_box(*real.shape[2:4])

    def deviation(frames: jax.Array) -> jax.Array:
        x = frames[:, :, rows, columns].astype(jnp.float32)
        valid = mask[:, :, None, None, None]
        std = jnp.sqrt(jnp.var(x, axis=1, where=jnp.broadcast_to(valid, x.shape)))
        return std.mean(axis=(1, 2, 3))

    return deviation(generated) / deviation(real)


def spread_over_seeds(videos: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Standard deviation of a pixel over the noise's seeds: what the noise does.

    The estimate of `spontaneous.seed_spread`, with S - 1 in the denominator.

    Args:
      videos: uint8 [S, B, T, H, W, 3], the same clips for each of S >= 2 seeds.
      mask: bool [B, T], the valid frames.

    Returns:
      Grey levels around the eyes, and in the mouth box, float32 [B] each.
    """
    deviation = jnp.std(videos.astype(jnp.float32), axis=0, ddof=1)
    boxes = [box(*videos.shape[3:5]) for box in (eye_box, mouth_box)]
    eyes, mouth = (
        mean_over_frames(deviation[:, :, rows, columns].mean(axis=(2, 3, 4)), mask)
        for rows, columns in boxes
    )
    return eyes, mouth


_MOST = 3.0  # dB that a ratio costs at most in `balance`: a still eye does not outweigh the mouth.


def distance_from_1(ratio: float) -> float:
    """Measures how far a ratio is from 1, twice as much as far as half as much.

    Args:
      ratio: Generated over real.

    Returns:
      dB, 0 at 1; infinite at 0.
    """
    return abs(20 * math.log10(ratio)) if ratio > 0 else math.inf


def balance(scores: dict[str, float]) -> float:
    """Weighs a mouth that is right against frames that are sharp and eyes that are alive.

    Args:
      scores: Of a validation: psnr_mouth in dB, sharpness and eye_motion as multiples of the real.

    Returns:
      dB: psnr_mouth, less the distances of the two others from 1, at most 3 dB each.
    """
    costs = (min(_MOST, distance_from_1(scores[name])) for name in ("sharpness", "eye_motion"))
    return scores["psnr_mouth"] - sum(costs)
