"""One training step: losses -> gradients -> updates. Pure; train.py jits, shards and donates it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.lax import stop_gradient

from s2f_jax import losses, rngs
from s2f_jax.models.layers import CONVOLUTION
from s2f_jax.state import TrainState

Batch = Mapping[str, jax.Array]
Networks = Mapping[str, nn.Module]


class NormalizedClips(NamedTuple):
    """A batch as the networks take it."""

    frames: jax.Array  # [B, T, H, W, 3] in [-1, 1].
    still: jax.Array  # [B, H, W, 3] in [-1, 1].
    audio: jax.Array  # [B, T * stride + window - stride] in [-1, 1].
    mask: jax.Array  # bool [B, T]; True: a frame of the clip, not padding.


def normalize(batch: Batch) -> NormalizedClips:
    """The loader's integers to [-1, 1]."""
    return NormalizedClips(
        frames=batch["frames"].astype(float) / 127.5 - 1,
        still=batch["still"].astype(float) / 127.5 - 1,
        audio=batch["audio"].astype(float) / 32768,
        mask=batch["mask"],
    )


class Picks(NamedTuple):
    """Frames of each clip, drawn for the discriminators, int32 [B, n]."""

    frames: jax.Array
    moments: jax.Array  # The third of five frames, and the middle of their 0.2 s of sound.
    others: jax.Array  # The middle of 0.2 s of sound that is not theirs.


APART = (3, 15)  # Frames between a moment and the other one: more than people put up with, 0.12 s.


def pick(key: jax.Array, batch: Batch, frames: int, moments: int) -> Picks:
    """So many frames and moments of each clip, uniformly; a clip too short for others that are far
    enough gets the farthest."""
    count, places = batch["mask"].sum(axis=1, keepdims=True), batch["example_index"]

    def draw(name: str, *shape: int) -> jax.Array:
        return jax.vmap(lambda key: jax.random.uniform(key, shape))(
            rngs.per_example_keys(key, name, places)
        )

    of_frames = (draw("frames", frames) * count).astype(jnp.int32)
    # Those whose five frames are all of the clip.
    middles = 2 + (draw("moments", moments) * jnp.maximum(count - 4, 1)).astype(jnp.int32)
    candidates = jnp.arange(batch["mask"].shape[1])[None, None]
    inside = (candidates >= 2) & (candidates <= count[..., None] - 3)
    apart = jnp.abs(candidates - middles[..., None])
    wanted = inside & (apart >= APART[0]) & (apart <= APART[1])
    score = jnp.where(wanted, 1 + draw("others", *wanted.shape[1:]), inside * (1 + apart) / 1000)
    return Picks(of_frames, middles, jnp.argmax(score, axis=-1).astype(jnp.int32))


def _frame_inputs(frames: jax.Array, clips: NormalizedClips, picks: Picks) -> tuple[jax.Array, ...]:
    """The frames picked, each beside its clip's still."""
    frames = jnp.take_along_axis(frames, picks.frames[:, :, None, None, None], axis=1)
    stills = jnp.broadcast_to(clips.still[:, None], frames.shape)
    return frames.reshape(-1, *frames.shape[2:]), stills.reshape(-1, *frames.shape[2:])


def _sequence_inputs(
    frames: jax.Array, clips: NormalizedClips, picks: Picks
) -> tuple[jax.Array, ...]:
    return frames, clips.audio, clips.mask


def _sync_inputs(frames: jax.Array, clips: NormalizedClips, picks: Picks) -> tuple[jax.Array, ...]:
    """Five frames around every moment picked, and where their sound is."""
    five = picks.moments[:, :, None] + np.arange(-2, 3)[None, None]
    last = clips.mask.sum(axis=1) - 1  # Of a clip of fewer than five frames, it repeats.
    five = jnp.minimum(five, last[:, None, None])
    windows = jnp.take_along_axis(
        frames, five.reshape(len(five), -1)[:, :, None, None, None], axis=1
    )
    return windows.reshape(*five.shape, *frames.shape[2:]), clips.audio, picks.moments


def _out_of_sync_inputs(clips: NormalizedClips, picks: Picks) -> tuple[jax.Array, ...]:
    """Real frames with sound of another moment of their clip."""
    windows, audio, _ = _sync_inputs(clips.frames, clips, picks)
    return windows, audio, picks.others


INPUTS = {
    "frame_discriminator": _frame_inputs,
    "sequence_discriminator": _sequence_inputs,
    "sync_discriminator": _sync_inputs,
}
# Real, and to be judged as generated.
MISMATCHED = {"sync_discriminator": _out_of_sync_inputs}


def init(networks: Networks, tx: optax.GradientTransformation, key: jax.Array) -> TrainState:
    """A fresh state for these networks."""
    generator: Any = networks["generator"]
    still = jnp.zeros((1, generator.height, generator.width_px, 3))
    audio = jnp.zeros((1, generator.window))
    clips = NormalizedClips(still[:, None], still, audio, jnp.ones((1, 1), bool))
    noise = jnp.zeros((1, 1, generator.noise_features))
    picks = Picks(*(jnp.zeros((1, 1), jnp.int32) for _ in Picks._fields))
    params, batch_stats = {}, {}
    for name, network in networks.items():
        if name == "generator":
            inputs = (still, audio, noise)
        else:
            inputs = INPUTS[name](clips.frames, clips, picks)
        variables = network.init(rngs.key(key, name), *inputs, train=False)
        variables = jax.tree.map(lambda leaf: leaf.astype(float), variables)
        params[name], batch_stats[name] = variables["params"], variables.get("batch_stats", {})
    return TrainState(jnp.zeros((), jnp.int32), params, batch_stats, tx.init(params))


def _apply(network: nn.Module, params: Any, batch_stats: Any, *inputs: Any, **kwargs: Any) -> Any:
    """-> output, new batch statistics."""
    variables = {"params": params, "batch_stats": batch_stats}
    output, new = network.apply(variables, *inputs, train=True, mutable=["batch_stats"], **kwargs)
    return output, new.get("batch_stats", {})


# By config.keep_activations. Between two convolutions all is cheap to compute again.
APPLY = {
    "all": _apply,
    "convolutions": jax.checkpoint(
        _apply,
        policy=jax.checkpoint_policies.save_only_these_names(CONVOLUTION),
        static_argnums=0,
    ),
    "none": jax.checkpoint(_apply, static_argnums=0),
}


def _per_clip(values: jax.Array, clips: NormalizedClips) -> jax.Array:
    """[B * n] -> [B]."""
    return values.reshape(clips.mask.shape[0], -1).mean(axis=1)


def objective(
    params: dict[str, Any],
    batch_stats: dict[str, Any],
    batch: Batch,
    key: jax.Array,
    *,
    networks: Networks,
    weights: Mapping[str, float],
    reconstruction_top: float,
    frames_per_clip: int,
    moments_per_clip: int,
    keep_activations: str,
    adversarial: bool,
) -> tuple[jax.Array, tuple[dict[str, jax.Array], dict[str, Any]]]:
    """The sum of every network's loss; stop_gradient lets each reach its own network alone.

    Both sides see one and the same generated clip. A discriminator judges it twice, once for its
    own loss and once for the generator's, at the same values: the compiler computes that once.
    weights: of the generator's terms, by 'reconstruction' and the discriminators' names.
    Returns the sum, and every term and accuracy per clip [B] with the new batch statistics.
    """
    generator: Any = networks["generator"]
    clips, apply = normalize(batch), APPLY[keep_activations]
    keys = rngs.per_example_keys(key, "noise", batch["example_index"])
    noise_shape = (clips.mask.shape[1], generator.noise_features)
    noise = generator.noise_std * jax.vmap(lambda key: jax.random.normal(key, noise_shape))(keys)
    picks = pick(key, batch, frames_per_clip, moments_per_clip)

    stats = dict(batch_stats)
    generated, stats["generator"] = apply(
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
        real, after_real = apply(
            network, params[name], batch_stats[name], *inputs(clips.frames, clips, picks)
        )
        fake, stats[name] = apply(
            network, params[name], after_real, *inputs(stop_gradient(generated), clips, picks)
        )
        judged, _ = apply(network, fixed, after_real, *inputs(generated, clips, picks))
        terms[f"generator/{name}"] = _per_clip(losses.generator(judged), clips)
        loss = losses.discriminator(real, fake)
        if name in MISMATCHED:  # The two kinds of fakes weigh as much as the real ones.
            inputs = MISMATCHED[name](clips, picks)
            mismatched, stats[name] = apply(network, params[name], stats[name], *inputs)
            loss = (loss + losses.discriminator(real, mismatched)) / 2
            terms[f"{name}/accuracy_mismatched"] = _per_clip(1.0 * (mismatched < 0), clips)
        terms[f"{name}/loss"] = _per_clip(loss, clips)
        terms[f"{name}/accuracy_real"] = _per_clip(1.0 * (real > 0), clips)
        terms[f"{name}/accuracy_fake"] = _per_clip(1.0 * (fake < 0), clips)
        total += weights[name] * terms[f"generator/{name}"].mean() + terms[f"{name}/loss"].mean()
    return total, (terms, stats)


def gradients(
    state: TrainState, batch: Batch, key: jax.Array, accumulate: int, **fields: Any
) -> tuple[dict[str, Any], dict[str, jax.Array], dict[str, Any]]:
    """-> gradients of the batch's mean loss, terms per clip [B], new batch statistics.

    The batch goes through in `accumulate` parts, each with BatchNorm statistics of its own.
    """
    gradient = jax.grad(objective, has_aux=True)

    def part(carry: Any, examples: Batch) -> Any:
        total, stats = carry
        new, (terms, stats) = gradient(state.params, stats, examples, key, **fields)
        return (jax.tree.map(jnp.add, total, new), stats), terms

    if accumulate == 1:
        grads, (terms, stats) = gradient(state.params, state.batch_stats, batch, key, **fields)
        return grads, terms, stats
    # Each part takes rows from all over the batch, so that every device has its share of each.
    parts = jax.tree.map(
        lambda rows: rows.reshape(-1, accumulate, *rows.shape[1:]).swapaxes(0, 1), dict(batch)
    )
    zeros = jax.tree.map(jnp.zeros_like, state.params)
    (total, stats), terms = jax.lax.scan(part, (zeros, state.batch_stats), parts)
    grads = jax.tree.map(lambda leaf: leaf / accumulate, total)
    return grads, {name: x.swapaxes(0, 1).reshape(-1) for name, x in terms.items()}, stats


def train_step(
    state: TrainState,
    batch: Batch,
    key: jax.Array,
    *,
    networks: Networks,
    tx: optax.GradientTransformation,
    adversarial: bool,
    **fields: Any,
) -> tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]]:
    """One update of every network at the same parameters, or of the generator alone.

    fields: `accumulate`, and those of `objective`. Returns the new state, the means of all terms
    with each network's gradient norm, and the terms per clip [B].
    """
    grads, terms, stats = gradients(
        state, batch, key, networks=networks, adversarial=adversarial, **fields
    )
    before: Any = state.opt_state
    after: Any
    updates, after = tx.update(grads, before, state.params)
    updated: Any = optax.apply_updates(state.params, updates)
    trained = set(networks) if adversarial else {"generator"}
    # Adam moves on zero gradients and counts: who does not train keeps parameters and state.
    inner = {name: (after if name in trained else before).inner_states[name] for name in networks}
    params = {name: (updated if name in trained else state.params)[name] for name in networks}
    metrics = {name: values.mean() for name, values in terms.items()}
    metrics |= {f"{name}/gradient_norm": optax.tree.norm(grads[name]) for name in sorted(trained)}
    new = TrainState(state.step + 1, params, stats, after._replace(inner_states=inner))
    return new, metrics, terms
