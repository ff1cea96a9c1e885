"""The losses of paper 2.3, one value per example.

Their weighted sum (eq. 3) and the means over the batch are in `objective` of step.py.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.faces.boxes import eye_box, mouth_box


class LossOptions(NamedTuple):
    """Options of the objective (step.py), fields of the config's section `loss` by these names.

    Attributes:
      reconstruction_top: Share of the height that the reconstruction loss leaves out (eq. 2).
      reconstruction_frames: Frames of each clip that are drawn while the generator alone learns, spread
        over the clip, all of whose audio is heard; 0: all.
      adversarial_frames: Consecutive frames of each clip that are drawn and judged when all learn, after all
        of its audio is heard; 0: all.
      adversarial_limit: Largest norm of what an adversarial term of weight 1 asks of a clip's pixels, as a
        multiple of what the reconstruction asks; of another weight in proportion; 0: no limit.
      rest_above: Share of right answers above which a discriminator learns nothing from a step's generated
        clips (it goes on learning from wrong real ones); 1: it always learns.
      variety_draws: Draws of the noise of each clip where `variety` has a weight, at least 2: the other
        terms of the pixels are means over all of them, and the discriminators judge the first.
    """

    reconstruction_top: float = 0.5
    reconstruction_frames: int = 0
    adversarial_frames: int = 0
    adversarial_limit: float = 0.0
    rest_above: float = 1.0
    variety_draws: int = 2

    def frames(self, adversarial: bool) -> int:
        """Returns the number of frames of each clip that are drawn; 0: all.

        Args:
          adversarial: Whether all networks learn.

        Returns:
          The number.
        """
        return self.adversarial_frames if adversarial else self.reconstruction_frames


def discriminator(real_logit: jax.Array, fake_logit: jax.Array) -> jax.Array:
    """Computes the discriminator's loss, eq. 1 negated: -log D(real) - log(1 - D(fake)).

    Args:
      real_logit: Logits of real examples, [N].
      fake_logit: Logits of generated examples, [N].

    Returns:
      The losses, [N].
    """
    return jax.nn.softplus(-real_logit) + jax.nn.softplus(fake_logit)


def learns(real_logit: jax.Array, fake_logit: jax.Array, rest_above: float) -> jax.Array:
    """Decides whether a discriminator learns from a step's generated clips; ours.

    A discriminator that is always right asks of the generator what no small step gives.

    Args:
      real_logit: Logits of real examples, [N].
      fake_logit: Logits of generated examples, [N].
      rest_above: Share of right answers above which it does not.

    Returns:
      1 or 0, without gradient.
    """
    right = ((real_logit > 0).mean() + (fake_logit < 0).mean()) / 2
    return jax.lax.stop_gradient((right <= rest_above).astype(real_logit.dtype))


def generator(fake_logit: jax.Array) -> jax.Array:
    """Computes the generator's adversarial loss, -log D(fake).

    The non-saturating form is ours; eq. 1 minimises log(1 - D).

    Args:
      fake_logit: Logits of generated examples, [N].

    Returns:
      The losses, [N].
    """
    return jax.nn.softplus(-fake_logit)


def reconstruction(
    generated: jax.Array, real: jax.Array, mask: jax.Array, top: float = 0.5
) -> jax.Array:
    """Computes eq. 2, L1 on the lower half of the image; a mean over pixels (the paper sums).

    Args:
      generated: Generated frames, [B, T, H, W, 3] in [-1, 1].
      real: Real frames, [B, T, H, W, 3] in [-1, 1].
      mask: bool [B, T]; False where there is padding.
      top: Share of the height that is left out.

    Returns:
      The losses, [B]: the mean over each clip's frames.
    """
    rows = slice(round(top * generated.shape[2]), None)
    per_frame = jnp.abs(generated[:, :, rows] - real[:, :, rows]).mean(axis=(2, 3, 4))
    return jnp.where(mask, per_frame, 0).sum(axis=1) / mask.sum(axis=1)


def drawn_share(share: jax.Array, mask: jax.Array) -> jax.Array:
    """Computes how much around mouth and eyes is drawn and not copied from the still; ours.

    Where the sound does not tell what moves, such as the outline of a head that sways, L1 asks for the
    mean of what may come, and a mask that mixes the still with what is drawn blurs it. At a price a pixel
    is drawn where that brings L1 more (a price of the mask, squared, against its saturation: Pumarola et
    al. 2018).

    Args:
      share: Copy masks, [B, T, H, W, 1] in [0, 1]; 1: the pixel is drawn.
      mask: bool [B, T]; False where there is padding.

    Returns:
      The losses, [B]: the mean over each clip's frames of the share, 0 in the boxes of mouth and eyes.
    """
    for box in (mouth_box, eye_box):
        rows, columns = box(*share.shape[2:4])
        share = share.at[:, :, rows, columns].set(0.0)
    per_frame = share.mean(axis=(2, 3, 4))
    return jnp.where(mask, per_frame, 0).sum(axis=1) / mask.sum(axis=1)


def variety(draws: jax.Array, real: jax.Array, mask: jax.Array) -> jax.Array:
    """Computes L1 around the eyes of the best of several draws of the noise, frame by frame; ours.

    The sound does not tell when somebody blinks, so that L1 of one draw asks for eyes that never do, and
    the decoder learns to ignore the noise. Of several draws only the one that comes nearest learns
    from a frame: each comes to stand for a part of what eyes really do (the variety loss of Gupta et
    al. 2018, there over a whole path).

    Args:
      draws: Generated frames, [S, B, T, H, W, 3] in [-1, 1], with the same still and sound.
      real: Real frames, [B, T, H, W, 3].
      mask: bool [B, T]; False where there is padding.

    Returns:
      The losses, [B]: the mean over each clip's frames.
    """
    rows, columns = eye_box(*real.shape[2:4])
    differences = jnp.abs(draws[..., rows, columns, :] - real[None, ..., rows, columns, :])
    nearest = differences.mean(axis=(3, 4, 5)).min(axis=0)
    return jnp.where(mask, nearest, 0).sum(axis=1) / mask.sum(axis=1)


def deep_supervision(read: jax.Array, wanted: jax.Array, mask: jax.Array) -> jax.Array:
    """Computes L1 of what is read out of z_c (models/context_readout.py); ours.

    Args:
      read: [B, T, codes].
      wanted: What should be read, [B, T, codes].
      mask: bool [B, T]; False where there is padding.

    Returns:
      The losses, [B]: the mean over each clip's frames.
    """
    per_frame = jnp.abs(read - wanted).mean(axis=2)
    return jnp.where(mask, per_frame, 0).sum(axis=1) / mask.sum(axis=1)


_BLOCK, _STEP = 16, 8  # Side of a block of the spectrum, and the distance of two: pixels.
_FLOOR = 0.02  # Added to an amplitude of a block: that of noise of 0.4 grey levels of 255.


def spectrum_shift(key: jax.Array) -> jax.Array:
    """Draws where the blocks of `spectrum` lie in one step.

    The middle of a block is seen by no other one. If it is always in the same place, a speck appears there,
    which gives its block all frequencies and costs its neighbours nothing.

    Args:
      key: Random key.

    Returns:
      Rows and columns, int [2] in [-4, 4).
    """
    return jax.random.randint(key, (2,), -_STEP // 2, _STEP // 2)


def spectrum(generated: jax.Array, real: jax.Array, mask: jax.Array, shift: jax.Array) -> jax.Array:
    """Computes how differently strong the frequencies of generated and real frames are; ours.

    L1 asks for the mean of what may come, which is soft. The amplitudes say how much detail there is, not
    where exactly (their use as a loss: Fuoli et al. 2021, there image by image), and their mean over
    a clip does not ask of a frame what only chance makes.

    Args:
      generated: Generated frames, [B, T, H, W, 3] in [-1, 1].
      real: Real frames, [B, T, H, W, 3].
      mask: bool [B, T]; False where there is padding.
      shift: What the blocks are shifted by, rows and columns, int [2] in [-4, 4): `spectrum_shift`.
        The frames are mirrored at their edges.

    Returns:
      The losses, [B]: the mean absolute difference, over frequencies and overlapping blocks under a Hann
      window, of the mean over a clip's frames of the logarithm of the amplitude, of the luminance and of two
      differences of colours (of luminance alone, and coloured speckles appear).
    """
    height, width = real.shape[2:4]
    rows, columns = (
        np.arange(0, size - _BLOCK + 1, _STEP)[:, None] + np.arange(_BLOCK)[None]
        for size in (height, width)
    )
    hann = np.hanning(_BLOCK + 1)[:-1].astype(np.float32)
    window = hann[:, None] * hann[None]
    margin = _STEP // 2
    around = [(0, 0)] * 2 + [(margin, margin)] * 2 + [(0, 0)]
    start = 0, 0, margin + shift[0], margin + shift[1], 0

    def log_amplitudes(frames: jax.Array) -> jax.Array:
        mirrored = jnp.pad(frames, around, "reflect")
        frames = jax.lax.dynamic_slice(mirrored, start, frames.shape)
        red, green, blue = jnp.moveaxis(frames, -1, 0)
        opponents = jnp.stack([(red + green + blue) / 3, red - green, blue - green], axis=2)
        blocks = opponents[..., rows[:, None, :, None], columns[None, :, None, :]]
        frequencies = jnp.fft.rfft2(blocks * window[None, None, None, None, None])
        logs = jnp.log(jnp.abs(frequencies) + _FLOOR)
        valid = mask[:, :, None, None, None, None, None]
        return jnp.where(valid, logs, 0).sum(axis=1) / valid.sum(axis=1)

    differences = jnp.abs(log_amplitudes(generated) - log_amplitudes(real))
    return differences.mean(axis=(1, 2, 3, 4, 5))


def lip_reading(
    real_logits: jax.Array, fake_logits: jax.Array, mask: jax.Array, generated: jax.Array
) -> jax.Array:
    """Computes how differently a lip reader reads generated and real mouths; ours.

    Args:
      real_logits: Logits of letters in the real clips, [B, n * T, labels], n of each frame.
      fake_logits: Logits of letters in the same clips with generated frames in the place of real ones.
      mask: bool [B, T]; False where there is padding.
      generated: How many frames of each clip are generated, [B].

    Returns:
      The Kullback-Leibler divergence from the real ones' letters, nats a step of the generated frames,
      [B].
    """
    steps = real_logits.shape[1] // mask.shape[1]
    mask = jnp.repeat(mask, steps, axis=1)
    real, fake = jax.nn.log_softmax(real_logits), jax.nn.log_softmax(fake_logits)
    per_step = (jnp.exp(real) * (real - fake)).sum(axis=2)
    return jnp.where(mask, per_step, 0).sum(axis=1) / (steps * generated)


@jax.custom_vjp
def limit_gradient(x: jax.Array, most: jax.Array) -> jax.Array:
    """Returns x; the gradient that comes back to each row has at most a given norm.

    Args:
      x: [B, ...].
      most: Largest norm of each row's gradient, [B].

    Returns:
      x.
    """
    return x


def _limit_forward(x: jax.Array, most: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x, most


def _limit_backward(most: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    norm = jnp.sqrt(jnp.sum(gradient**2, axis=tuple(range(1, gradient.ndim))))
    factor = jnp.where(norm > most, most / jnp.maximum(norm, 1e-30), 1)
    return gradient * factor.reshape(-1, *(1,) * (gradient.ndim - 1)), jnp.zeros_like(most)


limit_gradient.defvjp(_limit_forward, _limit_backward)


def reconstruction_gradient(mask: jax.Array, frame: tuple[int, ...], top: float) -> jax.Array:
    """Computes the norm of the gradient of `reconstruction` to a clip's pixels, where all differ.

    Args:
      mask: bool [B, T]; False where there is padding.
      frame: Height, width and channels of a frame.
      top: Share of the height that is left out.

    Returns:
      The norms, [B]: one over the square root of the number of values that are compared.
    """
    height, width, channels = frame
    values = mask.sum(axis=1) * (height - round(top * height)) * width * channels
    return 1 / jnp.sqrt(values)
