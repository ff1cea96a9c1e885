"""The sync discriminator in the train step: whom its losses reach, and what it is shown."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2f_jax import optim, step
from s2f_jax.models.networks import build
from tests.s2f_jax.step_test import batch_of, reached, tiny_config

FRAMES = 24  # Room for moments that are 3 to 15 frames apart.
WEIGHTS = {"reconstruction": 1.0, "sync_discriminator": 1.0}
FIELDS = {
    "weights": WEIGHTS,
    "reconstruction_top": 0.5,
    "frames_per_clip": 1,
    "moments_per_clip": 3,
    "keep_activations": "all",
}


@functools.cache
def set_up():
    config = tiny_config(sync_width=4, sync_audio_width=2, sync_features=8)
    config.loss.frame = config.loss.sequence = 0.0
    config.loss.sync = 1.0
    networks = build(config.data, config.model, config.loss)
    tx = optim.multi_adam({name: lambda count: 1e-3 for name in networks}, 0.5, 0.999)
    return networks, tx, jax.jit(functools.partial(step.init, networks, tx))(jax.random.key(0))


def test_it_exists_only_where_it_has_a_weight():
    assert list(set_up()[0]) == ["generator", "sync_discriminator"]
    config = tiny_config()
    assert "sync_discriminator" not in build(config.data, config.model, config.loss)


@functools.cache
def stepped():
    networks, tx, _ = set_up()
    fields = {"networks": networks, "tx": tx, "accumulate": 1, "adversarial": True}
    return jax.jit(functools.partial(step.train_step, **fields, **FIELDS))


@functools.cache
def gradient_of_terms():
    networks, _, state = set_up()

    def loss(params, batch, coefficients):
        _, (terms, _) = step.objective(
            params,
            state.batch_stats,
            batch,
            jax.random.key(1),
            networks=networks,
            adversarial=True,
            **FIELDS,
        )
        return sum(weight * terms[name].mean() for name, weight in coefficients.items())

    gradient = jax.jit(jax.grad(loss))
    terms = ("generator/sync_discriminator", "sync_discriminator/loss")
    return lambda term: gradient(
        state.params, batch_of(frames=FRAMES), {name: float(name == term) for name in terms}
    )


@pytest.mark.parametrize(
    ("term", "own"),
    [
        ("generator/sync_discriminator", "generator"),
        ("sync_discriminator/loss", "sync_discriminator"),
    ],
)
def test_each_loss_reaches_only_its_own_network(term, own):
    assert reached(gradient_of_terms()(term)) == {own}


def test_every_parameter_of_it_moves():
    _, _, state = set_up()
    after, metrics, terms = stepped()(state, batch_of(frames=FRAMES), jax.random.key(1))
    name = "sync_discriminator"
    same = jax.tree.map(np.array_equal, state.params[name], after.params[name])
    assert not any(jax.tree.leaves(same))
    assert after.batch_stats[name] == {}
    assert metrics[f"{name}/gradient_norm"] > 0
    assert terms[f"{name}/loss"].shape == (2,)
    for which in ("real", "fake", "mismatched"):
        assert 0 <= metrics[f"{name}/accuracy_{which}"] <= 1


def test_generated_and_mismatched_ones_weigh_as_much_as_real_ones():
    """A discriminator that says 0 to everything: softplus(0) for the real ones and for the two."""
    _, _, state = set_up()
    params = dict(state.params)
    blind = jax.tree.map(jnp.zeros_like, params["sync_discriminator"])
    # Two codes of nothing are 0.001 apart.
    blind["threshold"] = jnp.full_like(blind["threshold"], 1e-3)
    params["sync_discriminator"] = blind
    batch = batch_of(frames=FRAMES)
    _, metrics, _ = stepped()(state.replace(params=params), batch, jax.random.key(1))
    np.testing.assert_allclose(metrics["sync_discriminator/loss"], 2 * np.log(2), rtol=1e-5)


def test_the_order_of_a_batch_is_no_matter():
    _, _, state = set_up()
    batch, order = batch_of(frames=FRAMES), np.array([1, 0])
    turned = {name: rows[order] for name, rows in batch.items()}
    _, _, terms = stepped()(state, batch, jax.random.key(1))
    _, _, others = stepped()(state, turned, jax.random.key(1))
    for name, values in terms.items():
        np.testing.assert_allclose(values[order], others[name], rtol=1e-4, err_msg=name)


@functools.cache
def picked(frames, lengths):
    """The picks of 500 clips of each length."""
    mask = np.arange(frames) < np.repeat(lengths, 500)[:, None]
    batch = {"mask": jnp.asarray(mask), "example_index": jnp.arange(len(mask), dtype=jnp.uint32)}
    drawn = jax.jit(lambda key: step.pick(key, batch, 2, 3))(jax.random.key(3))
    return jax.tree.map(lambda x: np.asarray(x).reshape(len(lengths), -1), drawn)


def test_moments_have_five_frames_of_the_clip_and_others_are_apart_and_in_it_too():
    drawn = picked(40, (40, 12))
    for moments, others, length in zip(drawn.moments, drawn.others, (40, 12), strict=True):
        assert set(moments) == set(range(2, length - 2))  # Each is drawn.
        assert set(others) == set(range(2, length - 2))
        apart = abs(moments - others)
        assert (apart.min(), apart.max()) == (3, min(15, length - 5))
    assert drawn.frames.min() == 0 and drawn.frames[1].max() == 11


def test_a_clip_too_short_for_others_gives_what_it_has():
    drawn = picked(40, (7, 5, 3))
    for moments, others in zip(drawn.moments[0], drawn.others[0], strict=True):
        assert abs(others - moments) == max(moments - 2, 4 - moments)
    assert set(drawn.moments[1]) == set(drawn.others[1]) == {2}
    assert set(drawn.moments[2]) == {2}


def test_it_is_shown_the_frames_of_a_moment_its_sound_and_sound_of_another_one():
    batch = batch_of(frames=FRAMES)
    batch["mask"] = batch["mask"].at[1, 3:].set(False)
    clips = step.normalize(batch)
    middles, others = jnp.array([[2, 9], [2, 2]]), jnp.array([[14, 3], [0, 0]])
    picks = step.Picks(middles, middles, others)
    windows, audio, moments = step.INPUTS["sync_discriminator"](clips.frames, clips, picks)
    np.testing.assert_array_equal(windows[0, 1], clips.frames[0, 7:12])
    # Three frames of five: the last one stays.
    np.testing.assert_array_equal(windows[1, 0], clips.frames[1, np.array([0, 1, 2, 2, 2])])
    np.testing.assert_array_equal(audio, clips.audio)
    np.testing.assert_array_equal(moments, middles)
    same, _, wrong = step.MISMATCHED["sync_discriminator"](clips, picks)
    np.testing.assert_array_equal(same, windows)
    np.testing.assert_array_equal(wrong, others)
