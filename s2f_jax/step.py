"""One training step: losses -> gradients -> updates. Pure; train.py jits, shards and donates it."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.lax import stop_gradient

from s2f_jax import losses, rngs
from s2f_jax.models import context_readout, drawn_frames, lip_expert, pixels
from s2f_jax.models.clip_batch import Batch, ClipBatch, normalize
from s2f_jax.models.discriminator import Discriminator
from s2f_jax.models.generator import Generator
from s2f_jax.models.layers import CONVOLUTION, full_precision
from s2f_jax.models.networks import EXPERT, READOUT, Networks
from s2f_jax.sharding import Gather, leave
from s2f_jax.state import AVERAGED, GENERATOR, TrainState


def init(
    networks: Networks, tx: optax.GradientTransformation, key: jax.Array, averaged: bool = False
) -> TrainState:
    """Makes a fresh state.

    Args:
      networks: Networks whose parameters and statistics it holds.
      tx: The optimizers over all of them.
      key: Random key for the parameters.
      averaged: Whether an average of the generator's weights is kept.

    Returns:
      The state before the first step.
    """
    g = networks.generator
    still = jnp.zeros((1, g.height, g.width_px, 3), jnp.float32)
    audio = jnp.zeros((1, g.window), jnp.float32)
    noise = jnp.zeros((1, 1, g.noise_features), jnp.float32)
    mask, index = jnp.ones((1, 1), bool), jnp.zeros(1, jnp.uint32)
    clips = ClipBatch(still[:, None], still, audio, mask, index)
    inputs: dict[str, tuple[jax.Array, ...]] = {GENERATOR: (still, audio, noise)}
    z_c = jnp.zeros((1, 1, g.context_features), jnp.float32)
    inputs[EXPERT] = clips.frames, mask
    inputs[READOUT] = z_c, context_readout.mouth_code(clips.frames), mask
    for name, discriminator in networks.discriminators.items():
        sample = discriminator.sample(key, clips)
        inputs[name] = discriminator.inputs(clips.frames, clips, sample)
    params, batch_stats = {}, {}
    for name, network in networks.by_name().items():
        variables = network.init(rngs.key(key, name), *inputs[name], train=False)
        variables = jax.tree.map(lambda leaf: leaf.astype(full_precision(g.dtype)), variables)
        params[name], batch_stats[name] = variables["params"], variables.get("batch_stats", {})
    opt_state = tx.init(params)
    if averaged:
        params[AVERAGED], batch_stats[AVERAGED] = params[GENERATOR], batch_stats[GENERATOR]
    return TrainState(jnp.zeros((), jnp.int32), params, batch_stats, opt_state)


def _average(state: TrainState, variables: Any, decay: float) -> Any:
    """The exponential moving average of the generator's variables, over what steps there are."""
    kept = jnp.minimum(decay, (1 + state.step) / (10 + state.step))
    return jax.tree.map(
        lambda mean, new: (kept * mean + (1 - kept) * new).astype(mean.dtype),
        state.variables(AVERAGED),
        variables,
    )


def _apply(
    network: nn.Module, method: str, params: Any, batch_stats: Any, *inputs: Any, **masks: Any
) -> Any:
    """Returns the output and the new batch statistics."""
    variables = {"params": params, "batch_stats": batch_stats}
    output, new = network.apply(
        variables, *inputs, train=True, mutable=["batch_stats"], method=method, **masks
    )
    return output, new.get("batch_stats", {})


# By config.keep_activations. Between two convolutions all is cheap to compute again.
APPLY = {
    "all": _apply,
    "convolutions": jax.checkpoint(
        _apply,
        policy=jax.checkpoint_policies.save_only_these_names(CONVOLUTION),
        static_argnums=(0, 1),
    ),
    "none": jax.checkpoint(_apply, static_argnums=(0, 1)),
}


def _per_clip(values: jax.Array, clips: ClipBatch) -> jax.Array:
    """Averages values [B * n] over each clip, [B]."""
    return values.reshape(clips.mask.shape[0], -1).mean(axis=1)


def _share_per_clip(right: jax.Array, clips: ClipBatch) -> jax.Array:
    """Averages answers [B * n] that may be right over each clip, [B]."""
    return _per_clip(right.astype(jnp.float32), clips)


def zero_offsets(
    networks: Networks, batch: Batch, adversarial: bool, frames: int = 0
) -> dict[str, jax.Array]:
    """Makes the argument `offsets` of `objective`.

    Args:
      networks: The networks to be trained.
      batch: Arrays of B clips.
      adversarial: Whether there are adversarial terms.
      frames: Number of frames of each clip that are drawn; 0: all.

    Returns:
      Zeros of the shape of the frames for each of the generator's terms.
    """
    count, length, *frame = batch["frames"].shape
    shape = count, min(frames or length, length), *frame
    zeros = jnp.zeros(shape, full_precision(networks.generator.dtype))
    terms = list(networks.discriminators) if adversarial else []
    if adversarial and networks.expert is not None:
        terms.append("lip_reading")
    return dict.fromkeys(["reconstruction", *terms], zeros)


def _noise(generator: Generator, key: jax.Array, clips: ClipBatch, frames: int) -> jax.Array:
    """Draws the noise of each clip, [B, frames, noise_features]."""
    keys = rngs.per_example_keys(key, "noise", clips.example_index)
    shape = (frames, generator.noise_features)
    draw = functools.partial(jax.random.normal, shape=shape, dtype=jnp.float32)
    return generator.noise_std * jax.vmap(draw)(keys)


def _repeat(times: int, arrays: Any) -> Any:
    """Joins `times` copies of each array along its first axis."""
    return jax.tree.map(lambda x: jnp.concatenate([x] * times), arrays)


def objective(
    params: dict[str, Any],
    offsets: dict[str, jax.Array],
    batch_stats: dict[str, Any],
    batch: Batch,
    key: jax.Array,
    *,
    networks: Networks,
    weights: Mapping[str, float],
    options: losses.LossOptions,
    keep_activations: str,
    adversarial: bool,
) -> tuple[jax.Array, tuple[dict[str, jax.Array], dict[str, Any]]]:
    """Computes the sum of every network's loss; stop_gradient lets each reach its own network alone.

    Both sides see one and the same generated clip, which a discriminator judges once for both losses.

    Args:
      params: Parameters of every network, by the network's name.
      offsets: Zeros, added to the generated clip for each of the generator's terms (`zero_offsets`): the
        gradient to one is what the term asks of the pixels.
      batch_stats: BatchNorm statistics of every network, by the network's name.
      batch: Arrays of B clips of T frames, as the loader makes them.
      key: Random key of the step.
      networks: The networks to be trained.
      weights: Weights of the generator's terms: "reconstruction" (lambda of eq. 3), the names of the
        discriminators, "deep_supervision" where there is a readout, and such as may be absent:
        "lip_reading" and "deep_lip_reading", which need an expert, "drawn_share", which needs a copy
        path, "spectrum" and "variety".
      options: Further fields of the losses.
      keep_activations: A key of APPLY.
      adversarial: Whether there are adversarial terms; else the generator alone learns.

    Returns:
      The sum, and every term and accuracy per clip [B] with the new batch statistics.
    """
    generator = networks.generator
    # All of a clip is heard, whatever is drawn: no state of a GRU begins in the middle of a sentence.
    whole, heard = batch, batch["mask"]
    batch, drawn = drawn_frames.choose(whole, key, options, adversarial, generator)
    clips, apply = normalize(batch), APPLY[keep_activations]
    stats, count = dict(batch_stats), len(heard)
    audio = normalize(whole).audio
    varied = generator.noise_features and weights.get("variety")
    draws = options.variety_draws if varied else 1
    # Each clip with other noise again; in one batch, for equal statistics.
    keys = [key, *(rngs.key(key, "draw", i) for i in range(1, draws))]
    noise = [_noise(generator, key, clips, heard.shape[1]) for key in keys]
    still, audio, heard, wanted, mask = _repeat(
        draws, (clips.still, audio, heard, clips.frames, clips.mask)
    )
    drawn = None if drawn is None else _repeat(draws, drawn)
    own = "draw_with_context", params[GENERATOR], batch_stats[GENERATOR]
    (every, z_c, share), stats[GENERATOR] = apply(
        generator, *own, still, audio, jnp.concatenate(noise), mask=heard, drawn=drawn
    )
    generated = every[:count]

    def over_draws(values: jax.Array) -> jax.Array:
        return values.reshape(draws, count).mean(axis=0)

    top = options.reconstruction_top
    judged = every + _repeat(draws, offsets["reconstruction"])
    terms = {
        "generator/reconstruction": over_draws(losses.reconstruction(judged, wanted, mask, top))
    }
    total = weights["reconstruction"] * terms["generator/reconstruction"].mean()
    if weights.get("spectrum"):
        shift = losses.spectrum_shift(rngs.key(key, "spectrum"))
        terms["generator/spectrum"] = over_draws(losses.spectrum(every, wanted, mask, shift))
        total += weights["spectrum"] * terms["generator/spectrum"].mean()
    if weights.get("drawn_share"):
        terms["generator/drawn_share"] = over_draws(losses.drawn_share(share, mask))
        total += weights["drawn_share"] * terms["generator/drawn_share"].mean()
    if varied:
        each = every.reshape(draws, *generated.shape)
        terms["generator/variety"] = losses.variety(each, clips.frames, clips.mask)
        total += weights["variety"] * terms["generator/variety"].mean()
    real = pixels.from_uint8(whole["frames"])

    def misread(shown: jax.Array, generated: jax.Array) -> jax.Array:
        assert networks.expert is not None  # A term that has a weight has its networks.
        own = {"params": params[EXPERT], "batch_stats": batch_stats[EXPERT]}
        reader = networks.expert, stop_gradient(own)
        return lip_expert.divergence(*reader, real, whole["mask"], shown, generated)

    if networks.readout is not None:
        own = {"params": params[READOUT], "batch_stats": batch_stats[READOUT]}
        code, term, stats[READOUT] = context_readout.read_mouths(
            networks.readout, own, whole, z_c[:count]
        )
        terms["generator/deep_supervision"] = term
        total += weights["deep_supervision"] * term.mean()
        if weights.get("deep_lip_reading"):
            terms["generator/deep_lip_reading"] = misread(
                context_readout.draw_mouths(clips.still, code), whole["mask"]
            )
            total += weights["deep_lip_reading"] * terms["generator/deep_lip_reading"].mean()
    if not adversarial:
        return total, (terms, stats)

    if weights.get("lip_reading"):
        shown = generated + offsets["lip_reading"]
        places = None if drawn is None else drawn[:count]
        shown = lip_expert.among_real(real, shown, places, clips.mask)
        terms["generator/lip_reading"] = misread(shown, clips.mask)
        total += weights["lip_reading"] * terms["generator/lip_reading"].mean()
    norm = losses.reconstruction_gradient(clips.mask, generated.shape[2:], top)
    most = options.adversarial_limit * weights["reconstruction"] * norm / count
    # In the dictionary's order: a set's would make another program of every process.
    for name, network in networks.discriminators.items():
        judge = functools.partial(apply, network, "__call__")
        shown = generated
        if options.adversarial_limit:
            shown = losses.limit_gradient(generated, weights[name] * most)
        seen = clips, shown + offsets[name]
        own = params[name], batch_stats[name]
        sample = network.sample(key, clips)
        judged, stats[name] = _judge(name, network, judge, own, seen, sample, options.rest_above)
        terms |= judged
        total += weights[name] * terms[f"generator/{name}"].mean() + terms[f"{name}/loss"].mean()
    return total, (terms, stats)


def _for_both_sides(judge: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a discriminator's own loss and the generator's share one pass.

    Given one for each, the compiler finds that all but the GRUs' loops is the same and computes that once.

    Args:
      judge: Parameters, statistics and inputs to logits and new statistics.

    Returns:
      Parameters, statistics and a tuple of inputs to the logits, through which a gradient reaches the
      parameters alone; the same logits, through which it reaches the inputs alone; and new statistics.
    """

    def forward(params: Any, stats: Any, inputs: Any) -> Any:
        logits, pull_back, new = jax.vjp(
            lambda params, inputs: judge(params, stats, *inputs), params, inputs, has_aux=True
        )
        return (logits, logits, new), pull_back

    def backward(pull_back: Any, cotangents: Any) -> Any:
        of_fake, of_judged, _ = cotangents
        return pull_back(of_fake)[0], None, pull_back(of_judged)[1]

    @jax.custom_vjp
    def both(params: Any, stats: Any, inputs: Any) -> Any:
        logits, new = judge(params, stats, *inputs)
        return logits, logits, new

    both.defvjp(forward, backward)
    return both


def _judge(
    name: str,
    network: Discriminator,
    judge: Callable[..., Any],
    own: tuple[Any, Any],
    seen: tuple[ClipBatch, jax.Array],
    sample: Any,
    rest_above: float,
) -> tuple[dict[str, jax.Array], Any]:
    """Computes the terms of one discriminator.

    Args:
      name: Of its terms.
      network: The discriminator.
      judge: Its parameters, statistics and inputs to logits and new statistics.
      own: Its parameters and statistics.
      seen: The clips and their generated frames.
      sample: What it draws for the batch.
      rest_above: As in LossOptions.

    Returns:
      Terms per clip [B], and its new statistics.
    """
    params, stats = own
    clips, generated = seen
    real, after_real = judge(params, stats, *network.inputs(clips.frames, clips, sample))
    inputs = network.inputs(generated, clips, sample)
    fake, judged, new = _for_both_sides(judge)(params, after_real, inputs)
    terms = {f"generator/{name}": _per_clip(losses.generator(judged), clips)}
    loss = losses.discriminator(real, fake)
    if rest_above < 1:
        loss *= losses.learns(real, fake, rest_above)
    if inputs := network.mismatched_inputs(clips, sample):
        # The two kinds of fakes weigh as much as the real ones.
        mismatched, new = judge(params, new, *inputs)
        loss = (loss + losses.discriminator(real, mismatched)) / 2
        terms[f"{name}/accuracy_mismatched"] = _share_per_clip(mismatched < 0, clips)
    terms[f"{name}/loss"] = _per_clip(loss, clips)
    terms[f"{name}/accuracy_real"] = _share_per_clip(real > 0, clips)
    terms[f"{name}/accuracy_fake"] = _share_per_clip(fake < 0, clips)
    return terms, new


def gradients(
    params: dict[str, Any],
    batch_stats: dict[str, Any],
    batch: Batch,
    key: jax.Array,
    accumulate: int,
    **fields: Any,
) -> tuple[dict[str, Any], dict[str, jax.Array], dict[str, Any]]:
    """Computes the gradients of the batch's mean loss.

    Args:
      params: Parameters of every network, by the network's name.
      batch_stats: BatchNorm statistics of every network, by the network's name.
      batch: B clips.
      key: Random key of the step.
      accumulate: Parts that the batch goes through in, one after the other, each with BatchNorm
        statistics of its own.
      **fields: Keyword arguments of `objective`.

    Returns:
      Gradients by network; terms per clip [B], and among them the norm of each term's gradient to
      the clip's generated pixels, of the sum over clips; new batch statistics.
    """
    gradient = jax.grad(objective, argnums=(0, 1), has_aux=True)

    def gradient_and_terms(stats: dict[str, Any], examples: Batch) -> Any:
        adversarial = fields["adversarial"]
        frames = fields["options"].frames(adversarial)
        zeros = zero_offsets(fields["networks"], examples, adversarial, frames)
        args = params, zeros, stats, examples, key
        (new, pixels), (terms, stats) = gradient(*args, **fields)
        for name, asked in pixels.items():
            if f"generator/{name}" not in terms:
                continue  # It has no weight.
            # The objective is a mean over clips.
            norm = len(asked) * jnp.sqrt(jnp.sum(asked**2, axis=(1, 2, 3, 4)))
            terms[f"generator/{name}_pixel_gradient"] = norm
        return new, terms, stats

    def part(carry: Any, examples: Batch) -> Any:
        total, stats = carry
        new, terms, stats = gradient_and_terms(stats, examples)
        return (jax.tree.map(jnp.add, total, new), stats), terms

    if accumulate == 1:
        return gradient_and_terms(batch_stats, batch)
    # Each part takes rows from all over the batch, so that every device has its share of each.
    parts = jax.tree.map(
        lambda rows: rows.reshape(-1, accumulate, *rows.shape[1:]).swapaxes(0, 1), dict(batch)
    )
    zeros = jax.tree.map(jnp.zeros_like, params)
    (total, stats), terms = jax.lax.scan(part, (zeros, batch_stats), parts)
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
    generator_ema: float = 0.0,
    gather: Gather = leave,
    **fields: Any,
) -> tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]]:
    """Updates every network at the same parameters, or the generator alone.

    Args:
      state: The state before the step.
      batch: B clips.
      key: The run's root key; what is drawn depends on it and on each example's index.
      networks: The networks to be trained.
      tx: Their optimizers (optim.py).
      adversarial: Whether the discriminators train too.
      generator_ema: Decay per step of the generator's average; 0: the state has none.
      gather: Makes parameters whole where devices share them.
      **fields: `accumulate`, and keyword arguments of `objective`.

    Returns:
      The new state, the means of all terms with each network's gradient norm, and the terms per clip
      [B].
    """
    names = networks.by_name()
    own, own_stats = (
        {name: tree[name] for name in names} for tree in (state.params, state.batch_stats)
    )
    grads, terms, stats = gradients(
        gather(own), own_stats, batch, key, networks=networks, adversarial=adversarial, **fields
    )
    before: Any = state.opt_state
    after: Any
    updates, after = tx.update(grads, before, own)
    updated: Any = optax.apply_updates(own, updates)
    trained = set(names) - {EXPERT} - (set() if adversarial else set(networks.discriminators))
    # Adam moves on zero gradients and counts: who does not train keeps parameters and state.
    inner = {name: (after if name in trained else before).inner_states[name] for name in names}
    params = {name: (updated if name in trained else own)[name] for name in names}
    metrics = {name: values.mean() for name, values in terms.items()}
    metrics |= {f"{name}/gradient_norm": optax.tree.norm(grads[name]) for name in sorted(trained)}
    if generator_ema:
        new = {"params": params[GENERATOR], "batch_stats": stats[GENERATOR]}
        mean = _average(state, new, generator_ema)
        params[AVERAGED], stats[AVERAGED] = mean["params"], mean["batch_stats"]
    opt_state = after._replace(inner_states=inner)
    return TrainState(state.step + 1, params, stats, opt_state), metrics, terms
