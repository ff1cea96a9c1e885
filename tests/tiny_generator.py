"""A generator small enough to make by hand, 16x12 pixels, and what it draws."""

import jax
import numpy as np
from etils import epath

from configs import base
from s2f_jax.models import networks
from s2f_jax.runs import workdir
from s2f_jax.runs.checkpoint import Checkpoints
from s2f_jax.state import TrainState


def tiny_config():
    config = base.get_config()
    config.name = "tiny"
    config.data.corpus = "demo"
    config.data.height, config.data.width = 16, 12
    config.model.id_features = config.model.context_features = 8
    config.model.noise_features = 2
    config.model.width = config.model.audio_width = 4
    config.batch_size = config.eval_batch_size = 4
    return config


def tiny_state(config, seed=0):
    """As in training, but for the discriminators and the optimizer, which nobody asks for here.

    Large random weights: from the paper's start, N(0, 0.02), every frame is grey.
    """
    g = networks.generator(config.data, config.model)
    shapes = ((1, g.height, g.width_px, 3), (1, g.window), (1, 1, g.noise_features))
    inputs = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    variables = jax.eval_shape(g.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(seed)

    def drawn(leaf):
        scale = 1.5 / np.sqrt(np.prod(leaf.shape[:-1]))
        values = rng.normal(0, scale, leaf.shape).astype(np.float32)
        return abs(values) if leaf.ndim == 1 else values  # Or every ReLU might be dead.

    params = jax.tree.map(drawn, variables["params"])
    stats = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), variables["batch_stats"])
    state = TrainState(np.int32(3), {"generator": params}, {"generator": stats}, {})
    return jax.tree.map(jax.numpy.asarray, state)


def tiny_run(folder, config=None, state=None):
    """The workdir of a run, with one checkpoint at step 3."""
    config, folder = config or tiny_config(), epath.Path(folder)
    workdir.write_config(config, folder)
    checkpoints = Checkpoints(folder)
    checkpoints.save(state or tiny_state(config), {}, {}, 20.0)
    checkpoints.close()
    return folder


def tiny_example(batch, frames, **fields):
    """A generator with fields of its own, its variables, inputs of noise, and what it draws of them:
    the carry and the frames."""
    config = tiny_config()
    config.model.update(fields)
    g = networks.generator(config.data, config.model)
    variables, rng = tiny_state(config).variables("generator"), np.random.default_rng(1)
    still = rng.uniform(-1, 1, (batch, 16, 12, 3)).astype(np.float32)
    windows = rng.uniform(-1, 1, (batch, frames, g.window)).astype(np.float32)
    noise = rng.normal(0, 0.33, (batch, frames, g.noise_features)).astype(np.float32)
    apply = jax.jit(g.apply, static_argnames="method")
    identity = apply(variables, still, method="encode_identity")
    carry = g.initial_carry(batch)
    drawn = apply(variables, identity, windows, noise, carry, method="animate")
    return g, variables, (still, windows, noise), drawn


VARIANTS = [  # Of the generator: what is there in one and not in another.
    {},
    {"copy_path": True},
    {"skips": False},
    {"recurrent": False},
    {"noise_features": 0},
    {"window": 0.2, "id_features": 12},
]
