"""The losses of paper 2.3, one value per example.

Their weighted sum (eq. 3) and the means over the batch are in `objective` of step.py.
"""

import jax
import jax.numpy as jnp


def discriminator(real_logit: jax.Array, fake_logit: jax.Array) -> jax.Array:
    """Computes the discriminator's loss, eq. 1 negated: -log D(real) - log(1 - D(fake)).

    Args:
      real_logit: Logits of real examples, [N].
      fake_logit: Logits of generated examples, [N].

    Returns:
      The losses, [N].
    """
    return jax.nn.softplus(-real_logit) + jax.nn.softplus(fake_logit)


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
