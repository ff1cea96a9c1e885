"""The sync discriminator in the train step: whom its losses reach, and what it is shown."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2f_jax import losses, optim, step
from s2f_jax.models.clip_batch import ClipBatch, normalize
from s2f_jax.models.frame_discriminator import FrameDiscriminator
from s2f_jax.models.networks import build
from s2f_jax.models.sync_discriminator import SyncSample
from tests.s2f_jax.step_test import batch_of, reached, tiny_config

NAME = "sync_discriminator"
FRAMES = 24  # Room for windows that are 3 to 15 frames apart.
WEIGHTS = {"reconstruction": 1.0, "sync_discriminator": 1.0}
FIELDS = {
    "weights": WEIGHTS,
    "options": losses.LossOptions(),
    "keep_activations": "all",
}


@functools.cache
def set_up():
    config = tiny_config(sync={"width": 4, "audio_width": 2, "features": 8, "windows_per_clip": 3})
    config.discriminators.frame.weight = config.discriminators.sequence.weight = 0.0
    config.discriminators.sync.weight = 1.0
    networks = build(config.data, config.model, config.discriminators, config.loss)
    tx = optim.multi_adam({name: lambda count: 1e-3 for name in networks.by_name()}, 0.5, 0.999)
    return networks, tx, jax.jit(functools.partial(step.init, networks, tx))(jax.random.key(0))


def test_it_exists_only_where_it_has_a_weight():
    assert list(set_up()[0].by_name()) == ["generator", "sync_discriminator"]
    config = tiny_config()
    assert (
        "sync_discriminator"
        not in build(config.data, config.model, config.discriminators, config.loss).discriminators
    )


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
            step.zero_offsets(networks, batch, True),
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
def sampled(frames, lengths):
    """What is drawn of 500 clips of each length, by the frame and the sync discriminator."""
    mask = np.arange(frames) < np.repeat(lengths, 500)[:, None]
    none, index = jnp.zeros(()), jnp.arange(len(mask), dtype=jnp.uint32)
    clips = ClipBatch(none, none, none, jnp.asarray(mask), index)
    networks = FrameDiscriminator(frames_per_clip=2), set_up()[0].discriminators[NAME]
    drawn = jax.jit(lambda key: tuple(each.sample(key, clips) for each in networks))
    of_frame, of_sync = drawn(jax.random.key(3))
    return jax.tree.map(lambda x: np.asarray(x).reshape(len(lengths), -1), (of_frame, *of_sync))


def test_windows_have_five_frames_of_the_clip_and_mismatched_ones_are_apart_and_in_it_too():
    frames, *windows = sampled(40, (40, 12))
    for centers, mismatched, length in zip(*windows, (40, 12), strict=True):
        assert set(centers) == set(range(2, length - 2))  # Each is drawn.
        assert set(mismatched) == set(range(2, length - 2))
        apart = abs(centers - mismatched)
        assert (apart.min(), apart.max()) == (3, min(15, length - 5))
    assert frames.min() == 0 and frames[1].max() == 11


def test_a_clip_too_short_for_mismatched_windows_gives_what_it_has():
    _, centers, mismatched = sampled(40, (7, 5, 3))
    for center, other in zip(centers[0], mismatched[0], strict=True):
        assert abs(other - center) == max(center - 2, 4 - center)
    assert set(centers[1]) == set(mismatched[1]) == {2}
    assert set(centers[2]) == {2}


def test_it_is_shown_five_frames_their_sound_and_sound_of_another_window():
    batch = batch_of(frames=FRAMES)
    batch["mask"] = batch["mask"].at[1, 3:].set(False)
    clips = normalize(batch)
    sample = SyncSample(jnp.array([[2, 9], [2, 2]]), jnp.array([[14, 3], [0, 0]]))
    network = set_up()[0].discriminators[NAME]
    windows, audio, centers = network.inputs(clips.frames, clips, sample)
    np.testing.assert_array_equal(windows[0, 1], clips.frames[0, 7:12])
    # Three frames of five: the last one stays.
    np.testing.assert_array_equal(windows[1, 0], clips.frames[1, np.array([0, 1, 2, 2, 2])])
    np.testing.assert_array_equal(audio, clips.audio)
    np.testing.assert_array_equal(centers, sample.window_centers)
    same, _, wrong = network.mismatched_inputs(clips, sample)
    np.testing.assert_array_equal(same, windows)
    np.testing.assert_array_equal(wrong, sample.mismatched_centers)
