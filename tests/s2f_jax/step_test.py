"""The train step: who learns from what, and that it can learn at all."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import base
from data_pipelines.loading.lipreading_examples import MouthCrop
from s2f_jax import losses, optim, rngs, step
from s2f_jax.metrics import image
from s2f_jax.models import drawn_frames, pixels
from s2f_jax.models.clip_batch import normalize, take_window
from s2f_jax.models.lip_expert import LipExpert, among_real, divergence
from s2f_jax.models.lipnet import LipNet
from s2f_jax.models.networks import build
from s2f_jax.tasks.animate import AnimateTask

RATES = (1e-3, 2e-3, 4e-3)
WEIGHTS = {"reconstruction": 400.0, "frame_discriminator": 1.0, "sequence_discriminator": 1.0}
FIELDS = {
    "weights": WEIGHTS,
    "options": losses.LossOptions(),
}


def tiny_config(**model):
    """model: fields of config.model; those of discriminators as frame={...}, sequence={...}."""
    config = base.get_config()
    config.data.height, config.data.width = 16, 12
    config.data.audio_rate = 1000
    config.model.window = 0.06
    config.discriminators.frame.width = 4
    config.discriminators.sequence.update(width=4, audio_width=2, features=8)
    for name in config.discriminators:
        config.discriminators[name].update(model.pop(name, {}))
    small = {"context_features": 8, "noise_features": 2, "id_features": 4}
    config.model.update(small | {"width": 4, "audio_width": 2} | model)
    return config


def batch_of(clips=2, frames=5, height=16, width=12, window=60, stride=40):
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (clips, frames, height, width, 3), dtype=np.uint8)
    samples = (frames - 1) * stride + window
    return {
        "frames": jnp.asarray(video),
        "still": jnp.asarray(video[:, 0]),
        "audio": jnp.asarray(rng.integers(-9999, 9999, (clips, samples)), jnp.int16),
        "mask": jnp.ones((clips, frames), bool),
        "example_index": jnp.arange(clips, dtype=jnp.uint32),
    }


@functools.cache
def set_up(rates=RATES, widths=(4, 4), **model):
    """widths: of the discriminators."""
    frame, sequence = ({"width": width} for width in widths)
    model |= {"frame": frame | {"frames_per_clip": 2}, "sequence": sequence}
    config = tiny_config(**model)
    networks = build(config.data, config.model, config.discriminators, config.loss)
    schedules = {
        name: optim.epoch_decay(rate, 10, 20, 0.9)
        for name, rate in zip(networks.by_name(), rates, strict=True)
    }
    tx = optim.multi_adam(schedules, 0.5, 0.999)
    state = jax.jit(functools.partial(step.init, networks, tx))(jax.random.key(0))
    return networks, tx, state


@functools.cache
def compiled(adversarial=True, accumulate=1, keep_activations="all", **fields):
    """(state, batch, key) -> state, metrics, terms for the networks of `set_up(**fields)`."""
    networks, tx, _ = set_up(**fields)
    step_of = functools.partial(step.train_step, networks=networks, tx=tx, weights=WEIGHTS)
    return jax.jit(
        functools.partial(
            step_of,
            options=losses.LossOptions(),
            keep_activations=keep_activations,
            accumulate=accumulate,
            adversarial=adversarial,
        )
    )


def moved(before, after):
    """Per network: did any parameter change?"""
    return {
        name: any(
            not np.array_equal(a, b)
            for a, b in zip(
                jax.tree.leaves(before[name]), jax.tree.leaves(after[name]), strict=True
            )
        )
        for name in before
    }


def test_every_parameter_has_an_optimizer_and_moves():
    networks, _, state = set_up()
    after, metrics, _ = compiled()(state, batch_of(), jax.random.key(1))
    for name in networks.by_name():
        same = jax.tree.map(np.array_equal, state.params[name], after.params[name])
        assert not any(jax.tree.leaves(same)), name
        assert metrics[f"{name}/gradient_norm"] > 0
    assert int(after.step) == 1


def reached(gradients):
    """The networks in which any parameter has a gradient."""
    norms = {
        name: sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(of_network))
        for name, of_network in gradients.items()
    }
    return {name for name, norm in norms.items() if norm > 0}


@functools.cache
def gradient_of_terms():
    """(coefficients by term) -> the gradients of their weighted sum, compiled once."""
    networks, _, state = set_up()

    def loss(params, coefficients):
        _, (terms, _) = step.objective(
            params,
            step.zero_offsets(networks, batch_of(), True),
            state.batch_stats,
            batch_of(),
            jax.random.key(1),
            networks=networks,
            keep_activations="all",
            adversarial=True,
            **FIELDS,
        )
        return sum(weight * terms[name].mean() for name, weight in coefficients.items())

    gradient = jax.jit(jax.grad(loss))
    return lambda term: gradient(state.params, {name: float(name == term) for name in TERMS})


TERMS = {  # The one network that each loss may reach.
    "generator/reconstruction": "generator",
    "generator/frame_discriminator": "generator",
    "generator/sequence_discriminator": "generator",
    "frame_discriminator/loss": "frame_discriminator",
    "sequence_discriminator/loss": "sequence_discriminator",
}


@pytest.mark.parametrize(("term", "own"), TERMS.items())
def test_each_loss_reaches_only_its_own_network(term, own):
    assert reached(gradient_of_terms()(term)) == {own}


def test_without_adversarial_terms_the_discriminators_keep_everything():
    _, _, state = set_up()
    after, metrics, _ = compiled(adversarial=False)(state, batch_of(), jax.random.key(1))
    assert moved(state.params, after.params) == {
        "generator": True,
        "frame_discriminator": False,
        "sequence_discriminator": False,
    }
    for name in ("frame_discriminator", "sequence_discriminator"):
        for before, now in (
            (state.opt_state.inner_states[name], after.opt_state.inner_states[name]),
            (state.batch_stats[name], after.batch_stats[name]),
        ):
            jax.tree.map(np.testing.assert_array_equal, before, now)
        assert f"{name}/loss" not in metrics


def test_each_optimizer_has_its_own_rate():
    """Adam's first update is its rate, whatever the gradient's size."""
    networks, _, state = set_up()
    after, _, _ = compiled()(state, batch_of(), jax.random.key(1))
    for name, rate in zip(networks.by_name(), RATES, strict=True):
        changes = jax.tree.map(lambda a, b: jnp.abs(a - b), state.params[name], after.params[name])
        largest = max(float(leaf.max()) for leaf in jax.tree.leaves(changes))
        np.testing.assert_allclose(largest, rate, rtol=0.02)


def test_the_step_is_a_function_of_state_batch_and_key():
    _, _, state = set_up()
    run = compiled()
    first, _, _ = run(state, batch_of(), jax.random.key(1))
    again, _, _ = run(state, batch_of(), jax.random.key(1))
    other, _, _ = run(state, batch_of(), jax.random.key(2))
    jax.tree.map(np.testing.assert_array_equal, first.params, again.params)
    assert moved(first.params, other.params)["generator"]


def test_the_order_of_a_batch_is_no_matter():
    """Each example keeps its noise and its picked frames, in whichever row of it a process has it."""
    _, _, state = set_up()
    batch, order = batch_of(), np.array([1, 0])
    turned = {name: rows[order] for name, rows in batch.items()}
    _, _, terms = compiled()(state, batch, jax.random.key(1))
    _, _, others = compiled()(state, turned, jax.random.key(1))
    for name, values in terms.items():
        np.testing.assert_allclose(values[order], others[name], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("kept", ["convolutions", "none"])
def test_what_is_computed_again_is_the_same(kept):
    _, _, state = set_up()
    outputs = [
        compiled(keep_activations=each)(state, batch_of(), jax.random.key(1))
        for each in ("all", kept)
    ]
    for name, value in outputs[0][1].items():
        np.testing.assert_allclose(value, outputs[1][1][name], rtol=1e-4, err_msg=name)


@pytest.mark.parametrize(("kept", "share"), [("convolutions", 0.8), ("none", 0.5)])
def test_fewer_numbers_wait_for_the_backward_pass(kept, share):
    networks, _, state = set_up()

    def residuals(kept):
        def loss(params):
            return step.objective(
                {**state.params, "generator": params},
                step.zero_offsets(networks, batch_of(), False),
                state.batch_stats,
                batch_of(),
                jax.random.key(1),
                networks=networks,
                keep_activations=kept,
                adversarial=False,
                **FIELDS,
            )[0]

        backward = jax.eval_shape(lambda p: jax.vjp(loss, p)[1], state.params["generator"])
        return sum(leaf.size for leaf in jax.tree.leaves(backward))

    assert residuals(kept) < share * residuals("all")


def test_accumulated_gradients_are_the_mean_of_the_parts():
    """Rows 0 and 2, then 1 and 3: each part has its own BatchNorm."""
    networks, _, state = set_up()
    batch = batch_of(clips=4)
    fields = {
        "networks": networks,
        "keep_activations": "all",
        "adversarial": False,
        **FIELDS,
    }
    gradients = jax.jit(functools.partial(step.gradients, **fields), static_argnames="accumulate")
    key = jax.random.key(1)
    of = state.params, state.batch_stats
    both, terms, _ = gradients(*of, batch, key, accumulate=2)
    parts = [
        gradients(*of, {n: rows[first::2] for n, rows in batch.items()}, key, accumulate=1)
        for first in (0, 1)
    ]
    mean = jax.tree.map(lambda a, b: (a + b) / 2, parts[0][0], parts[1][0])
    for ours, theirs in zip(jax.tree.leaves(both), jax.tree.leaves(mean), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    for i, (_, of_part, _) in enumerate(parts):
        for name, values in of_part.items():
            np.testing.assert_allclose(terms[name][i::2], values, rtol=1e-5)


def test_bfloat16_is_close_and_keeps_parameters_and_statistics_whole():
    """The same losses to its two to three digits, and gradients that point the same way."""
    fields = {"width": 8, "widths": (8, 8)}
    _, _, state = set_up(**fields)
    (whole, exact, _), (after, metrics, terms) = (
        compiled(dtype=dtype, **fields)(state, batch_of(), jax.random.key(1))
        for dtype in ("float32", "bfloat16")
    )
    for leaf in jax.tree.leaves((after.params, after.batch_stats, metrics, terms)):
        assert leaf.dtype == jnp.float32
    for name, value in exact.items():
        if name.endswith(("loss", "reconstruction")):
            np.testing.assert_allclose(metrics[name], value, rtol=0.01, err_msg=name)
        elif name.endswith("norm"):
            np.testing.assert_allclose(metrics[name], value, rtol=0.1, err_msg=name)
    # Adam's first moment is the gradient by a constant.
    for name in state.params:
        ours, theirs = (
            jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(first_moment(s, name))])
            for s in (after, whole)
        )
        cosine = ours @ theirs / (jnp.linalg.norm(ours) * jnp.linalg.norm(theirs))
        assert cosine > 0.95, name


def first_moment(state, name):
    return optax.tree.get(state.opt_state.inner_states[name].inner_state, "mu")[name]


def test_noise_std_scales_the_noise():
    """Without noise the key decides only which frames the frame discriminator sees."""
    for std, changes in ((0.0, False), (5.0, True)):
        _, _, state = set_up(noise_std=std)
        run = compiled(adversarial=False, noise_std=std)
        losses = [
            float(run(state, batch_of(), jax.random.key(k))[1]["generator/reconstruction"])
            for k in (1, 2)
        ]
        assert (losses[0] != losses[1]) == changes


def test_padding_changes_nothing_that_is_learnt():
    _, _, state = set_up(noise_std=0.0)
    run = compiled(adversarial=False, noise_std=0.0)
    batch = batch_of()
    batch["mask"] = batch["mask"].at[1, 3:].set(False)
    other = {**batch, "frames": batch["frames"].at[1, 3:].set(7)}
    after, other_after = (run(state, b, jax.random.key(1))[0] for b in (batch, other))
    jax.tree.map(np.testing.assert_array_equal, after.params, other_after.params)


def test_a_clip_alone_and_the_same_clip_padded_are_one():
    """Three frames, and the three with two of garbage after them: losses, gradients, statistics."""
    networks, _, state = set_up()
    whole, noise = batch_of(clips=1, frames=5), np.random.default_rng(1)
    samples = whole["audio"].at[:, -2 * 40 :].set(0)  # What is heard beyond a clip is silence.
    garbage = jnp.asarray(noise.integers(0, 256, whole["frames"].shape), jnp.uint8)
    real = jnp.arange(5) < 3
    padded = whole | {
        "frames": jnp.where(real[None, :, None, None, None], whole["frames"], garbage),
        "audio": samples,
        "mask": real[None],
    }
    alone = padded | {name: padded[name][:, :3] for name in ("frames", "mask")}
    alone["audio"] = samples[:, : 2 * 40 + 60]
    gradients = jax.jit(
        functools.partial(
            step.gradients,
            networks=networks,
            keep_activations="all",
            adversarial=True,
            accumulate=1,
            **FIELDS,
        )
    )
    outcomes = [
        gradients(state.params, state.batch_stats, batch, jax.random.key(1))
        for batch in (alone, padded)
    ]
    for ours, theirs in zip(*map(jax.tree.leaves, outcomes), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-5)


def test_frame_noise_does_not_depend_on_chunking():
    key = jax.random.key(3)
    whole = rngs.frame_noise(key, 6, 4, 0.33)
    parts = [rngs.frame_noise(key, 2, 4, 0.33), rngs.frame_noise(key, 4, 4, 0.33, first=2)]
    np.testing.assert_array_equal(whole, jnp.concatenate(parts))
    wide = rngs.frame_noise(key, 1000, 10, 0.33)
    assert abs(float(wide.std()) - 0.33) < 0.01


@pytest.mark.slow
def test_two_clips_can_be_overfitted():
    """The standard proof that a GAN loop works: more than 35 dB on what was trained on."""
    fields = {"rates": (2e-3, 1e-4, 5e-5), "width": 16, "context_features": 32}
    networks, _, state = set_up(**fields)
    grid_y, grid_x = np.mgrid[0:16, 0:12]
    t = np.arange(5)
    opening = 1.5 + np.sin(t[None] * np.array([1.0, 2.0])[:, None])  # [2, 5]
    inside = np.hypot(grid_x - 5.5, (grid_y - 11.5) * 1.5) < opening[..., None, None]
    video = np.where(inside[..., None], [90, 20, 30], [200, 160, 140]).astype(np.uint8)
    batch = batch_of()
    batch |= {"frames": jnp.asarray(video), "still": jnp.asarray(video[:, 0])}
    run = compiled(**fields)
    for i in range(1500):
        state, metrics, _ = run(state, batch, jax.random.key(i))
    clips = normalize(batch)
    generated, _ = networks.generator.apply(
        state.variables("generator"),
        clips.still,
        clips.audio,
        jnp.zeros((2, 5, 2)),
        train=True,
        mutable=["batch_stats"],
    )
    half = slice(8, None)  # What the reconstruction loss sees.
    psnr = image.psnr(
        pixels.to_uint8(generated)[:, :, half], batch["frames"][:, :, half], batch["mask"]
    )
    assert float(psnr.min()) > 35, (psnr, metrics)


def test_a_discriminator_without_a_weight_does_not_exist():
    config = tiny_config()
    assert list(build(config.data, config.model, config.discriminators, config.loss).by_name()) == [
        "generator", "frame_discriminator", "sequence_discriminator"
    ]  # fmt: skip
    config.discriminators.frame.weight = config.discriminators.sequence.weight = 0.0
    assert list(build(config.data, config.model, config.discriminators, config.loss).by_name()) == [
        "generator"
    ]
    config.discriminators.sync.weight = 1.0
    assert list(build(config.data, config.model, config.discriminators, config.loss).by_name()) == [
        "generator", "sync_discriminator"
    ]  # fmt: skip


def test_without_discriminators_every_step_is_of_l1():
    config = tiny_config()
    config.discriminators.frame.weight = config.discriminators.sequence.weight = 0.0
    config.batch_size, config.clip_frames = 2, 5
    task = AnimateTask(config)
    tx = optim.multi_adam(task.schedules(10), 0.5, 0.999)
    state = jax.jit(functools.partial(task.init, tx))(jax.random.key(0))
    _, metrics, _ = jax.jit(task.step(tx, True))(state, batch_of(), jax.random.key(1))
    of_l1 = {"generator/reconstruction", "generator/reconstruction_pixel_gradient"}
    assert set(metrics) == {*of_l1, "generator/gradient_norm"}


def test_the_log_has_what_each_term_asks_of_a_clips_pixels():
    """L1's gradient is lambda over the number of values, with a sign, wherever the two differ."""
    _, metrics, terms = compiled()(set_up()[2], batch_of(), jax.random.key(1))
    values = 5 * 8 * 12 * 3  # Frames, rows of the lower half, columns, channels.
    expected = WEIGHTS["reconstruction"] / np.sqrt(values)
    np.testing.assert_allclose(
        terms["generator/reconstruction_pixel_gradient"], [expected] * 2, rtol=1e-5
    )
    for name in ("frame_discriminator", "sequence_discriminator"):
        assert metrics[f"generator/{name}_pixel_gradient"] > 0


def test_the_average_follows_the_generator_and_touches_nothing():
    """Of steps 1 and 2 the decays are 1/10 and 2/11, both under the 0.9 asked for."""
    networks, tx, plain = set_up()
    averaged = jax.jit(functools.partial(step.init, networks, tx, averaged=True))(jax.random.key(0))
    fields = {"networks": networks, "tx": tx, "accumulate": 1, "adversarial": True}
    fields |= FIELDS | {"keep_activations": "all"}
    with_average = jax.jit(functools.partial(step.train_step, generator_ema=0.9, **fields))
    mean = averaged.inference_variables()
    for decay in (1 / 10, 2 / 11):
        plain, *_ = compiled()(plain, batch_of(), jax.random.key(1))
        averaged, *_ = with_average(averaged, batch_of(), jax.random.key(1))
        mean = jax.tree.map(
            lambda old, new, d=decay: d * old + (1 - d) * new, mean, plain.variables("generator")
        )
    own = {name: averaged.params[name] for name in plain.params}
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), own, plain.params)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=1e-5),
        averaged.inference_variables(),
        mean,
    )
    assert plain.inference_variables()["params"] is plain.params["generator"]


@pytest.mark.parametrize(
    ("adversarial", "field"), [(False, "reconstruction_frames"), (True, "adversarial_frames")]
)
def test_only_the_frames_asked_for_are_drawn(adversarial, field):
    """The offsets, which have as many, fit to nothing else."""
    networks, _, state = set_up()
    offsets = step.zero_offsets(networks, batch_of(), adversarial, 3)
    assert offsets["reconstruction"].shape == (2, 3, 16, 12, 3)
    fields = FIELDS | {"keep_activations": "all", "adversarial": adversarial}
    fields |= {"options": losses.LossOptions(**{field: 3})}
    objective = functools.partial(step.objective, networks=networks, **fields)
    args = state.params, offsets, state.batch_stats, batch_of(), jax.random.key(1)
    _, (terms, _) = jax.eval_shape(objective, *args)
    assert terms["generator/reconstruction"].shape == (2,)


def test_a_window_of_a_clip_has_its_own_audio():
    """Frame t of clip b is 5 b + t; a frame is 40 samples, its window 60."""
    numbers = np.arange(10).repeat(16 * 12 * 3).reshape(2, 5, 16, 12, 3)
    batch = batch_of() | {"frames": jnp.asarray(numbers, jnp.uint8)}
    cut = take_window(batch, jnp.array([3, 1]), 2, 40, 60)
    np.testing.assert_array_equal(cut["frames"][:, :, 0, 0, 0], [[3, 4], [6, 7]])
    np.testing.assert_array_equal(cut["audio"][0], batch["audio"][0, 120:220])
    np.testing.assert_array_equal(cut["audio"][1], batch["audio"][1, 40:140])


def test_scattered_frames_are_one_of_each_part_of_a_clip_and_none_of_its_padding():
    batch = batch_of(clips=64, frames=10)
    batch["mask"] = batch["mask"].at[:, 8:].set(False)
    drawn = np.asarray(drawn_frames.spread_frames(batch, jax.random.key(0), 4))
    assert (drawn // 2 == np.arange(4)).all() and len(np.unique(drawn)) == 8
    first = np.asarray(drawn_frames.window_starts(batch, jax.random.key(0), 5))
    assert set(first) == {0, 1, 2, 3}


def test_a_generator_that_draws_some_frames_draws_them_as_among_all():
    networks, _, state = set_up()
    clips, generator = normalize(batch_of()), networks.generator
    noise = jax.random.normal(jax.random.key(0), (2, 5, generator.noise_features))
    variables, inputs = state.variables("generator"), (clips.still, clips.audio, noise)
    every = generator.apply(variables, *inputs)
    drawn = jnp.array([[0, 3], [1, 4]])
    some = generator.apply(variables, *inputs, drawn=drawn)
    np.testing.assert_allclose(
        some, jnp.take_along_axis(every, drawn[:, :, None, None, None], 1), atol=1e-5
    )


@pytest.mark.parametrize(("adversarial", "draws"), [(False, 2), (True, 2), (False, 3)])
def test_variety_reaches_the_generator_alone_and_its_noise(adversarial, draws):
    networks, _, state = set_up()
    fields = FIELDS | {"keep_activations": "all", "adversarial": adversarial, "networks": networks}
    fields |= {"weights": WEIGHTS | {"variety": 100.0}}
    fields |= {"options": losses.LossOptions(0.5, 2, 2, variety_draws=draws)}
    zeros = step.zero_offsets(networks, batch_of(clips=3), adversarial, 2)

    def varied(params):
        args = params, zeros, state.batch_stats, batch_of(clips=3), jax.random.key(1)
        _, (terms, _) = step.objective(*args, **fields)
        return terms["generator/variety"].mean(), terms

    gradient, terms = jax.jit(jax.grad(varied, has_aux=True))(state.params)
    assert reached(gradient) == {"generator"}
    assert optax.tree.norm(gradient["generator"]["noise_generator"]) > 0
    assert all(values.shape == (3,) for values in terms.values())


@pytest.mark.parametrize(("adversarial", "draws"), [(True, 2), (False, 3)])
def test_draws_without_noise_are_alike_and_change_no_term(adversarial, draws):
    networks, _, state = set_up(copy_path=True, noise_std=0.0)
    fields = FIELDS | {"keep_activations": "all", "adversarial": adversarial, "networks": networks}
    weights = WEIGHTS | {"spectrum": 24.0, "drawn_share": 6.0}
    options = losses.LossOptions(variety_draws=draws, reconstruction_frames=2)

    def terms(variety):
        zeros = step.zero_offsets(networks, batch_of(), adversarial, 0 if adversarial else 2)
        own = fields | {"weights": weights | variety, "options": options}

        def total(zeros):
            args = state.params, zeros, state.batch_stats, batch_of(), jax.random.key(1)
            return step.objective(*args, **own)

        gradient, (terms, _) = jax.grad(total, has_aux=True)(zeros)
        return terms, gradient["reconstruction"]

    alone, asked = terms({})
    several, asked_of_several = terms({"variety": 1e-9})
    assert several.pop("generator/variety").shape == (2,)
    assert several.keys() == alone.keys()
    for name, values in several.items():
        np.testing.assert_allclose(values, alone[name], rtol=2e-4, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(asked_of_several, asked, atol=1e-6)


@pytest.mark.parametrize("keep_activations", ["all", "none"])
def test_the_price_of_drawing_is_the_copy_masks_and_reaches_the_generator_alone(keep_activations):
    networks, _, state = set_up(copy_path=True)
    fields = FIELDS | {"adversarial": True, "networks": networks}
    fields |= {"weights": WEIGHTS | {"drawn_share": 6.0}, "keep_activations": keep_activations}
    zeros = step.zero_offsets(networks, batch_of(), True)

    def price(params):
        args = params, zeros, state.batch_stats, batch_of(), jax.random.key(1)
        _, (terms, _) = step.objective(*args, **fields)
        return terms["generator/drawn_share"].mean()

    before, gradient = jax.jit(jax.value_and_grad(price))(state.params)
    assert reached(gradient) == {"generator"}
    kernel = gradient["generator"]["frame_decoder"]["pixels"]["kernel"]
    assert kernel[..., 3].any() and not kernel[..., :3].any()  # The mask, not what is drawn.
    assert 0.01 < before < 0.2


@pytest.mark.parametrize(("negatives", "learns"), [((), False), (("shuffled",), True)])
def test_a_resting_discriminator_still_learns_from_wrong_real_clips(negatives, learns):
    """Above a share below 0 of right answers all rest."""
    config = tiny_config(sequence={"negatives": negatives})
    networks = build(config.data, config.model, config.discriminators, config.loss)
    tx = optim.multi_adam(dict.fromkeys(networks.by_name(), 1e-3), 0.5, 0.999)
    state = step.init(networks, tx, jax.random.key(0))
    fields = FIELDS | {"options": losses.LossOptions(rest_above=-1.0), "networks": networks}
    gradients = functools.partial(
        step.gradients, **fields, keep_activations="all", adversarial=True, accumulate=1
    )
    args = state.params, state.batch_stats, batch_of(), jax.random.key(1)
    norm = float(optax.tree.norm(jax.jit(gradients)(*args)[0]["sequence_discriminator"]))
    assert (norm > 0) == learns


def helped(frame=1.0):
    """Networks with a readout and an expert, which sees all of a face of 16 x 12."""
    config = tiny_config(frame={"weight": frame}, sequence={"weight": 0.0})
    config.loss.deep_supervision = 20.0
    reader = LipNet(widths=(4, 4, 4), features=4, dropout=0.0)
    expert = LipExpert(reader, MouthCrop(16, 16, 8.0))
    return build(config.data, config.model, config.discriminators, config.loss, expert)


@pytest.mark.parametrize(("adversarial", "keep_activations"), [(False, "all"), (True, "none")])
def test_helping_terms_reach_the_generator_and_the_readout_alone(adversarial, keep_activations):
    networks = helped()
    state = step.init(networks, optax.identity(), jax.random.key(0))
    fields = FIELDS | {"keep_activations": keep_activations, "adversarial": adversarial}
    weights = {"deep_supervision": 20.0, "deep_lip_reading": 10.0, "lip_reading": 30.0}
    fields |= {"weights": WEIGHTS | weights, "networks": networks}
    fields |= {"options": losses.LossOptions(reconstruction_frames=2, adversarial_frames=3)}
    zeros = step.zero_offsets(networks, batch_of(), adversarial, 3 if adversarial else 2)

    def term(params, name):
        args = params, zeros, state.batch_stats, batch_of(), jax.random.key(1)
        _, (terms, _) = step.objective(*args, **fields)
        return terms[f"generator/{name}"].mean()

    gradient = jax.jit(jax.grad(term), static_argnums=1)
    for name in ("deep_supervision", "deep_lip_reading"):
        own = gradient(state.params, name)
        assert reached(own) == {"generator", "context_readout"}
        assert optax.tree.norm(own["generator"]["context_encoder"]) > 0
        assert optax.tree.norm(own["generator"]["frame_decoder"]) == 0
    if adversarial:
        own = gradient(state.params, "lip_reading")
        assert reached(own) == {"generator"}
        assert optax.tree.norm(own["generator"]["frame_decoder"]) > 0


def test_every_frame_that_is_heard_is_read_though_few_are_drawn():
    """Another last frame, which is drawn in no step, is another loss."""
    networks = helped()
    state = step.init(networks, optax.identity(), jax.random.key(0))
    fields = FIELDS | {"keep_activations": "all", "adversarial": False, "networks": networks}
    fields |= {"weights": WEIGHTS | {"deep_supervision": 20.0}}
    fields |= {"options": losses.LossOptions(reconstruction_frames=1)}
    zeros = step.zero_offsets(networks, batch_of(), False, 1)

    @jax.jit
    def terms(batch):
        args = state.params, zeros, state.batch_stats, batch, jax.random.key(1)
        return step.objective(*args, **fields)[1][0]

    drawn = set(
        np.asarray(drawn_frames.spread_frames(batch_of(), jax.random.key(1), 1)).ravel().tolist()
    )
    other = next(t for t in range(5) if t not in drawn)
    before, batch = terms(batch_of()), batch_of()
    after = terms(batch | {"frames": batch["frames"].at[:, other].set(255)})
    np.testing.assert_array_equal(
        before["generator/reconstruction"], after["generator/reconstruction"]
    )
    assert (before["generator/deep_supervision"] != after["generator/deep_supervision"]).all()


def test_the_expert_never_learns():
    networks = helped()
    rates = {name: 1e-3 for name in networks.by_name() if name != "lip_expert"}
    tx = optim.multi_adam(rates, 0.5, 0.999, ["lip_expert"])
    state = step.init(networks, tx, jax.random.key(0))
    weights = WEIGHTS | {"deep_supervision": 20.0, "lip_reading": 30.0}
    fields = FIELDS | {"weights": weights, "keep_activations": "all", "accumulate": 1}
    update = jax.jit(
        functools.partial(step.train_step, networks=networks, tx=tx, adversarial=True, **fields)
    )
    after, metrics, _ = update(state, batch_of(), jax.random.key(1))
    assert moved(state.params, after.params) == {
        name: name != "lip_expert" for name in networks.by_name()
    }
    assert "lip_expert/gradient_norm" not in metrics
    assert metrics["generator/lip_reading_pixel_gradient"] > 0
    fields["weights"] = weights | {"lip_reading": 0.0, "deep_lip_reading": 10.0}
    deep = functools.partial(step.train_step, networks=networks, tx=tx, adversarial=True, **fields)
    _, logged, _ = jax.eval_shape(deep, state, batch_of(), jax.random.key(1))
    assert "generator/lip_reading_pixel_gradient" not in logged
    assert "generator/deep_lip_reading" in logged


def test_the_expert_sees_generated_frames_in_their_places_among_the_real_ones():
    """Frames that equal the real ones change nothing, in whatever place they are put."""
    networks, batch = helped(), batch_of(frames=8)
    state = step.init(networks, optax.identity(), jax.random.key(0))
    own = state.variables("lip_expert")
    chosen = jnp.array([[0, 1, 2], [5, 6, 7]])
    real = jnp.take_along_axis(
        pixels.from_uint8(batch["frames"]), chosen[:, :, None, None, None], axis=1
    )
    mask, all_real = jnp.ones((2, 3), bool), pixels.from_uint8(batch["frames"])

    def term(frames, mask=mask):
        shown = among_real(all_real, frames, chosen, mask)
        return divergence(networks.expert, own, all_real, batch["mask"], shown, mask)

    np.testing.assert_allclose(term(real), 0, atol=1e-6)
    assert (term(-real) > 0).all()
    last = jnp.array([True, True, False])[None].repeat(2, axis=0)
    np.testing.assert_allclose(term(real.at[:, 2].set(0.0), last), 0, atol=1e-6)
