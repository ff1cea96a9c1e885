"""LipNet: its size, what padding may do, and the form of its convolution."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2f_jax.models import lipnet
from s2f_jax.models.lipnet import BidirectionalGRU, LipNet

TINY = dict(labels=5, widths=(4, 4, 6), features=3)


@pytest.fixture(scope="module", params=["convolutions", "cosines"])
def tiny(request):
    net = LipNet(**TINY, front_end=request.param)
    frames = np.random.default_rng(0).uniform(0, 1, (2, 6, 16, 24, 3)).astype(np.float32)
    init = jax.jit(functools.partial(net.init, train=False))
    return net, init(jax.random.key(0), frames, np.ones((2, 6), bool)), frames


def test_the_papers_sizes_have_4_57_million_parameters():
    net = LipNet()
    shapes = jax.eval_shape(
        lambda: net.init(
            jax.random.key(0), jnp.zeros((1, 75, 50, 100, 3)), jnp.ones((1, 75), bool), False
        )
    )
    of = {name: sum(x.size for x in jax.tree.leaves(p)) for name, p in shapes["params"].items()}
    # By hand; a GRU: two directions of three gates from 1728 or 512 and 256, four biases.
    assert of["conv0"] == 3 * 5 * 5 * 3 * 32 + 32
    assert of["conv1"] == 3 * 5 * 5 * 32 * 64 + 64
    assert of["conv2"] == 3 * 3 * 3 * 64 * 96 + 96
    assert of["gru0"] == 2 * (3 * 256 * (1728 + 256) + 4 * 256)
    assert of["gru1"] == 2 * (3 * 256 * (512 + 256) + 4 * 256)
    assert of["letters"] == 512 * 28 + 28
    assert round(sum(of.values()) / 1e6, 2) == 4.57


def test_each_frame_may_show_several_letters(tiny):
    """The logits of a frame's two steps are those of twice as many classes, split in two."""
    net, variables, frames = tiny
    net, mask = net.clone(steps_per_frame=2), np.ones((2, 6), bool)
    wide = net.clone(steps_per_frame=1, labels=10)
    variables = wide.init(jax.random.key(0), frames, mask, False)
    logits = net.apply(variables, frames, mask, False)
    assert logits.shape == (2, 12, 5)
    np.testing.assert_array_equal(
        logits.reshape(2, 6, 10), wide.apply(variables, frames, mask, False)
    )


def test_a_centered_reader_does_not_see_what_stays(tiny):
    plain, variables, frames = tiny
    mask = np.arange(6) < np.array([[6], [4]])
    net = plain.clone(centered=True)
    looks = np.random.default_rng(1).uniform(0, 1, (2, 1, 16, 24, 3)).astype(np.float32)
    logits = net.apply(variables, frames, mask, False)
    np.testing.assert_allclose(net.apply(variables, frames + looks, mask, False), logits, atol=1e-5)
    assert not np.allclose(
        plain.apply(variables, frames + looks, mask, False),
        plain.apply(variables, frames, mask, False),
        atol=1e-5,
    )


@pytest.mark.parametrize(("size", "stride"), [(5, 2), (5, 1), (3, 1)])
def test_the_cpus_convolution_equals_the_plain_one(size, stride):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 4, 9, 12, 3)).astype(np.float32)
    kernel = rng.normal(size=(3, size, size, 3, 4)).astype(np.float32)
    plain = jax.jit(lipnet._plain_conv, static_argnums=2)(x, kernel, stride)
    folded = jax.jit(lipnet._folded_conv, static_argnums=2)(x, kernel, stride)
    np.testing.assert_allclose(folded, plain, atol=1e-4)
    assert plain.shape == (2, 4, -(-9 // stride), -(-12 // stride), 4)


def test_what_padding_holds_and_how_much_there_is_changes_nothing(tiny):
    net, variables, frames = tiny
    mask = np.arange(6) < np.array([[6], [4]])
    read = jax.jit(lambda frames, mask: net.apply(variables, frames, mask, False))
    logits = read(frames, mask)
    other = frames.copy()
    other[1, 4:] = 0.7
    np.testing.assert_array_equal(read(other, mask), logits)
    alone = read(frames[1:, :4], mask[1:, :4])
    np.testing.assert_allclose(logits[1, :4], alone[0], atol=1e-5)
    assert np.abs(logits[1, :4] - read(frames, np.ones((2, 6), bool))[1, :4]).max() > 1e-3


def test_padding_stays_out_of_the_training_statistics(tiny):
    net, variables, frames = tiny
    mask = np.arange(6) < np.array([[6], [4]])

    @jax.jit
    def train(frames):
        return net.apply(variables, frames, mask, True, mutable=["batch_stats"])

    other = frames.copy()
    other[1, 4:] = 0.7
    for one, two in zip(*map(jax.tree.leaves, (train(frames), train(other))), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_gru_equals_one_step_by_step_in_both_directions():
    """Gates as Cho et al.'s, with the reset gate behind the recurrent product (as in cuDNN)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 4)).astype(np.float32)
    lengths = np.array([5, 3])
    gru = BidirectionalGRU(3)
    params = jax.jit(gru.init)(jax.random.key(0), x, np.ones((2, 5), bool))["params"]
    params = jax.tree.map(lambda p: rng.normal(0, 0.5, p.shape).astype(np.float32), params)
    found = jax.jit(gru.apply)({"params": params}, x, np.arange(5) < lengths[:, None])

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    for b, length in enumerate(lengths):
        for direction in (0, 1):
            kernel, bias = params["kernel"][direction], params["bias"][direction]
            recurrent, shift = params["recurrent"][direction], params["recurrent_bias"][direction]
            h = np.zeros(3)
            order = range(length) if direction == 0 else reversed(range(length))
            for t in order:
                of_x, of_h = x[b, t] @ kernel + bias, h @ recurrent
                r, z = sigmoid(of_x[:3] + of_h[:3]), sigmoid(of_x[3:6] + of_h[3:6])
                h = (1 - z) * np.tanh(of_x[6:] + r * (of_h[6:] + shift)) + z * h
                got = found[b, t, 3 * direction : 3 * direction + 3]
                np.testing.assert_allclose(got, h, atol=1e-5)
        assert not np.any(found[b, length:])


def test_dropout_takes_whole_channels_of_a_clip_and_its_own_draw_alone(tiny):
    plain, variables, frames = tiny
    net = plain.clone(dropout=0.5)
    mask = np.ones((2, 6), bool)

    @jax.jit
    def logits(keys):
        return net.apply(variables, frames, mask, True, keys, mutable=["batch_stats"])[0]

    keys = jax.random.split(jax.random.key(0), 2)
    once, again = logits(keys), logits(keys)
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - logits(keys[::-1])).max() > 1e-3
    x = jnp.ones((2, 3, 2, 2, 64))
    kept = jax.jit(lambda x: LipNet(dropout=0.25)._drop(x, 0, True, keys))(x)
    assert set(np.unique(kept).round(5)) == {0.0, np.float32(4 / 3).round(5)}
    np.testing.assert_array_equal(kept, np.broadcast_to(kept[:, :1, :1, :1], kept.shape))
    assert np.any(kept[0] != kept[1])
    np.testing.assert_array_equal(net._drop(x, 0, False, keys), x)


def test_noise_moves_what_is_read_in_training_alone():
    net = LipNet(**TINY, front_end="cosines", dropout=0.0)
    frames = np.random.default_rng(0).uniform(0, 1, (2, 6, 16, 24, 3)).astype(np.float32)
    mask, keys = np.ones((2, 6), bool), jax.random.split(jax.random.key(1), 2)
    variables = net.init(jax.random.key(0), frames, mask, False)

    def read(noise, train, keys=keys):
        noisy = net.clone(noise=noise)
        return noisy.apply(variables, frames, mask, train, keys, mutable=["batch_stats"])[0]

    np.testing.assert_array_equal(read(0.3, False), read(0.0, False))
    np.testing.assert_array_equal(read(0.3, True, None), read(0.0, True))
    small, large = (np.abs(read(noise, True) - read(0.0, True)).mean() for noise in (0.03, 0.3))
    assert 0 < 3 * small < large


def test_the_noise_is_in_units_of_each_frequency():
    """Of each clip its own: 40 frames under noise 0.5 differ by 0.5, in the mean over frequencies."""
    net = LipNet(**TINY, noise=0.5)
    codes = np.zeros((2, 40, 64), np.float32)
    noise = net._add_noise(codes, True, jax.random.split(jax.random.key(1), 2))
    assert noise.std() == pytest.approx(0.5, rel=0.05)
    assert not np.any(noise[0] == noise[1])


def test_the_other_front_end_sees_low_frequencies_alone():
    """Its 8 x 8 of a frame of 16 x 24: a finer pattern, and colours of one luminance, are nothing to it."""
    net = LipNet(**TINY, front_end="cosines")
    frames = np.random.default_rng(0).uniform(0.4, 0.6, (1, 6, 16, 24, 3)).astype(np.float32)
    mask = np.ones((1, 6), bool)
    variables = net.init(jax.random.key(0), frames, mask, False)
    read = jax.jit(lambda frames: net.apply(variables, frames, mask, False))
    rows = np.cos(np.pi * 9 * (2 * np.arange(16) + 1) / 32).astype(np.float32)
    fine = frames + 0.1 * rows[None, None, :, None, None]
    coloured = frames + np.array([0.1, -0.1, 0.0], np.float32)[None, None, None, None]
    for same in (fine, coloured):
        np.testing.assert_allclose(read(same), read(frames), atol=1e-4)
    assert np.abs(read(frames[..., ::-1, :]) - read(frames)).max() > 1e-3
