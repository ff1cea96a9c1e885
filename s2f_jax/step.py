"""One training step: losses -> gradients -> updates. Pure; train.py jits, shards and donates it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.lax import stop_gradient

from s2f_jax import losses, rngs
from s2f_jax.state import TrainState

Batch = Mapping[str, jax.Array]
Networks = Mapping[str, nn.Module]


class Clips(NamedTuple):
    """A batch as the networks take it."""

    frames: jax.Array  # [B, T, H, W, 3] in [-1, 1].
    still: jax.Array  # [B, H, W, 3] in [-1, 1].
    audio: jax.Array  # [B, T * stride + window - stride] in [-1, 1].
    mask: jax.Array  # bool [B, T]; True: a frame of the clip, not padding.


def normalise(batch: Batch) -> Clips:
    """The loader's integers to [-1, 1]."""
    return Clips(
        frames=batch["frames"].astype(jnp.float32) / 127.5 - 1,
        still=batch["still"].astype(jnp.float32) / 127.5 - 1,
        audio=batch["audio"].astype(jnp.float32) / 32768,
        mask=batch["mask"],
    )


def _frame_inputs(frames: jax.Array, clips: Clips, picks: jax.Array) -> tuple[jax.Array, ...]:
    """The frames picked, [B, n], each beside its clip's still."""
    frames = jnp.take_along_axis(frames, picks[:, :, None, None, None], axis=1)
    stills = jnp.broadcast_to(clips.still[:, None], frames.shape)
    return frames.reshape(-1, *frames.shape[2:]), stills.reshape(-1, *frames.shape[2:])


def _sequence_inputs(frames: jax.Array, clips: Clips, picks: jax.Array) -> tuple[jax.Array, ...]:
    return frames, clips.audio, clips.mask


INPUTS = {"frame_discriminator": _frame_inputs, "sequence_discriminator": _sequence_inputs}


def init(networks: Networks, tx: optax.GradientTransformation, key: jax.Array) -> TrainState:
    """A fresh state for these networks."""
    generator: Any = networks["generator"]
    still = jnp.zeros((1, generator.height, generator.width_px, 3))
    audio = jnp.zeros((1, generator.window))
    clips = Clips(still[:, None], still, audio, jnp.ones((1, 1), bool))
    noise = jnp.zeros((1, 1, generator.noise_features))
    picks = jnp.zeros((1, 1), jnp.int32)
    params, batch_stats = {}, {}
    for name, network in networks.items():
        if name == "generator":
            inputs = (still, audio, noise)
        else:
            inputs = INPUTS[name](clips.frames, clips, picks)
        variables = network.init(rngs.key(key, name), *inputs, train=False)
        params[name], batch_stats[name] = variables["params"], variables["batch_stats"]
    return TrainState(jnp.zeros((), jnp.int32), params, batch_stats, tx.init(params))


def _apply(network: nn.Module, params: Any, batch_stats: Any, *inputs: Any, **kwargs: Any) -> Any:
    """-> output, new batch statistics."""
    variables = {"params": params, "batch_stats": batch_stats}
    output, new = network.apply(variables, *inputs, train=True, mutable=["batch_stats"], **kwargs)
    return output, new["batch_stats"]


def _per_clip(values: jax.Array, clips: Clips) -> jax.Array:
    """[B * n] -> [B]."""
    return values.reshape(clips.mask.shape[0], -1).mean(axis=1)


def objective(
    params: dict[str, Any],
    batch_stats: dict[str, Any],
    clips: Clips,
    key: jax.Array,
    *,
    networks: Networks,
    weights: Mapping[str, float],
    reconstruction_top: float,
    frames_per_clip: int,
    adversarial: bool,
) -> tuple[jax.Array, tuple[dict[str, jax.Array], dict[str, Any]]]:
    """The sum of every network's loss; stop_gradient lets each reach its own network alone.

    Both sides see one and the same generated clip. A discriminator judges it twice, once for its
    own loss and once for the generator's, at the same values: the compiler computes that once.
    weights: of the generator's terms, by 'reconstruction' and the discriminators' names.
    Returns the sum, and every term and accuracy per clip [B] with the new batch statistics.
    """
    generator: Any = networks["generator"]
    noise_shape = (*clips.mask.shape, generator.noise_features)
    noise = generator.noise_std * jax.random.normal(rngs.key(key, "noise"), noise_shape)
    lengths = clips.mask.sum(axis=1, keepdims=True)
    draw = jax.random.uniform(rngs.key(key, "frames"), (lengths.shape[0], frames_per_clip))
    picks = (draw * lengths).astype(jnp.int32)

    stats = dict(batch_stats)
    generated, stats["generator"] = _apply(
        generator,
        params["generator"],
        batch_stats["generator"],
        clips.still,
        clips.audio,
        noise,
        mask=clips.mask,
    )
    l1 = losses.reconstruction(generated, clips.frames, clips.mask, reconstruction_top)
    terms = {"generator/reconstruction": l1}
    total = weights["reconstruction"] * terms["generator/reconstruction"].mean()
    if not adversarial:
        return total, (terms, stats)

    # In the dictionary's order: a set's would make another program of every process.
    for name, inputs in INPUTS.items():
        if name not in networks:
            continue
        network = networks[name]
        fixed = stop_gradient(params[name])
        real, after_real = _apply(
            network, params[name], batch_stats[name], *inputs(clips.frames, clips, picks)
        )
        fake, stats[name] = _apply(
            network, params[name], after_real, *inputs(stop_gradient(generated), clips, picks)
        )
        judged, _ = _apply(network, fixed, after_real, *inputs(generated, clips, picks))
        terms[f"generator/{name}"] = _per_clip(losses.generator(judged), clips)
        terms[f"{name}/loss"] = _per_clip(losses.discriminator(real, fake), clips)
        terms[f"{name}/accuracy_real"] = _per_clip(1.0 * (real > 0), clips)
        terms[f"{name}/accuracy_fake"] = _per_clip(1.0 * (fake < 0), clips)
        total += weights[name] * terms[f"generator/{name}"].mean() + terms[f"{name}/loss"].mean()
    return total, (terms, stats)


def train_step(
    state: TrainState,
    batch: Batch,
    key: jax.Array,
    *,
    networks: Networks,
    tx: optax.GradientTransformation,
    weights: Mapping[str, float],
    reconstruction_top: float,
    frames_per_clip: int,
    adversarial: bool,
) -> tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]]:
    """One update of every network at the same parameters, or of the generator alone.

    Returns the new state, the means of all terms with each network's gradient norm, and the terms
    per clip [B].
    """
    gradients, (terms, stats) = jax.grad(objective, has_aux=True)(
        state.params,
        state.batch_stats,
        normalise(batch),
        rngs.key(key, "step", state.step),
        networks=networks,
        weights=weights,
        reconstruction_top=reconstruction_top,
        frames_per_clip=frames_per_clip,
        adversarial=adversarial,
    )
    before: Any = state.opt_state
    after: Any
    updates, after = tx.update(gradients, before, state.params)
    updated: Any = optax.apply_updates(state.params, updates)
    trained = set(networks) if adversarial else {"generator"}
    # Adam moves on zero gradients and counts: who does not train keeps parameters and state.
    inner = {name: (after if name in trained else before).inner_states[name] for name in networks}
    params = {name: (updated if name in trained else state.params)[name] for name in networks}
    metrics = {name: values.mean() for name, values in terms.items()}
    metrics |= {
        f"{name}/gradient_norm": optax.tree.norm(gradients[name]) for name in sorted(trained)
    }
    new = TrainState(state.step + 1, params, stats, after._replace(inner_states=inner))
    return new, metrics, terms
