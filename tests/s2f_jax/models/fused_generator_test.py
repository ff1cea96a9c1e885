import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2f_jax.models import fused_generator, networks
from s2f_jax.models.generator import Generator

SMALL = {"height": 16, "width_px": 12, "id_features": 8, "context_features": 8, "width": 4}


def made(**fields):
    """A generator with random weights and statistics, and a batch for it."""
    g = Generator(**SMALL, audio_width=4, **fields)
    rng = np.random.default_rng(0)

    def drawn(leaf):
        values = rng.normal(0, 1.5 / np.sqrt(np.prod(leaf.shape[:-1])), leaf.shape)
        return np.float32(abs(values) if leaf.ndim == 1 else values)

    shapes = networks.variables(g)
    stats = jax.tree.map(
        lambda leaf: rng.uniform(0.5, 2, leaf.shape).astype("f4"), shapes["batch_stats"]
    )
    variables = {"params": jax.tree.map(drawn, shapes["params"]), "batch_stats": stats}
    still = rng.uniform(-1, 1, (2, 16, 12, 3)).astype(np.float32)
    windows = rng.uniform(-1, 1, (2, 7, g.window)).astype(np.float32)
    noise = rng.normal(0, 0.33, (2, 7, g.noise_features)).astype(np.float32)
    return g, variables, still, windows, noise


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"copy_path": True},
        {"skips": False},
        {"recurrent": False},
        {"noise_features": 0},
        {"audio_rate": 50000, "window": 10000},
    ],
)
def test_fused_weights_give_the_frames_of_the_generator(fields):
    g, variables, still, windows, noise = made(**fields)
    carry = g.initial_carry(2)
    identity = g.apply(variables, still, method="encode_identity")
    carried, frames = g.apply(variables, identity, windows, noise, carry, method="animate")
    weights = fused_generator.fuse_weights(g, variables)
    identity = jax.jit(fused_generator.encode_identity)(weights, still)
    for each in (
        weights,
        fused_generator.pack_kernels(g, weights, 14),
        fused_generator.pack_kernels(g, weights, 1),
    ):
        animate = jax.jit(functools.partial(fused_generator.animate, g))
        carried_too, frames_too = animate(each, identity, windows, noise, carry)
        assert np.abs(frames - frames_too).max() < 2e-5 and np.std(frames) > 0.2
        gap = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), carried, carried_too)
        assert max(jax.tree.leaves(gap), default=0) < 2e-5


def test_frame_by_frame_is_all_at_once():
    g, variables, still, windows, noise = made()
    weights = fused_generator.fuse_weights(g, variables)
    identity, carry = fused_generator.encode_identity(weights, still), g.initial_carry(2)
    animate = jax.jit(functools.partial(fused_generator.animate, g))
    _, together = animate(weights, identity, windows, noise, carry)
    for t in range(7):
        at = slice(t, t + 1)
        carry, frame = animate(weights, identity, windows[:, at], noise[:, at], carry)
        assert np.abs(frame[:, 0] - together[:, t]).max() < 2e-6
