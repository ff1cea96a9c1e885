"""Losses and schedules against numbers worked out by hand."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from data_pipelines.faces.boxes import eye_box, mouth_box
from s2f_jax import losses, optim
from s2f_jax.runs.early_stopping import EarlyStopping
from s2f_jax.tasks.animate import AnimateTask

LOG2, NAN = np.log(2), float("nan")


def test_adversarial_losses_at_known_logits():
    even = jnp.zeros(2)
    np.testing.assert_allclose(losses.discriminator(even, even), [2 * LOG2] * 2, rtol=1e-6)
    np.testing.assert_allclose(losses.generator(even), [LOG2] * 2, rtol=1e-6)
    sure = jnp.array([50.0])
    np.testing.assert_allclose(losses.discriminator(sure, -sure), 0, atol=1e-6)
    np.testing.assert_allclose(losses.generator(-sure), 50, rtol=1e-6)


def test_reconstruction_is_l1_of_the_lower_half_over_real_frames():
    real = jnp.zeros((2, 3, 4, 2, 3))
    generated = real.at[:, :, :2].set(1.0)  # Only the upper half differs.
    mask = jnp.ones((2, 3), bool)
    np.testing.assert_array_equal(losses.reconstruction(generated, real, mask), 0)
    np.testing.assert_allclose(losses.reconstruction(generated, real, mask, top=0.0), 0.5)
    generated = real.at[0, :, 2].set(0.5).at[:, 2].set(1.0)  # Half of the lower half; frame 2.
    mask = mask.at[:, 2].set(False)
    np.testing.assert_allclose(losses.reconstruction(generated, real, mask), [0.25, 0])


def test_the_paper_schedules():
    """2e-4 in epochs 1 and 20, then 10 % less each: PAPER.md's values."""
    rate = optim.epoch_decay(2e-4, steps_per_epoch=7, after=20, rate=0.9)
    ours = [float(rate(7 * (epoch - 1))) for epoch in (1, 20, 21, 30)]
    np.testing.assert_allclose(ours, [2e-4, 2e-4, 1.8e-4, 6.97e-5], rtol=1e-3)
    assert rate(7 * 20 - 1) == rate(0) != rate(7 * 20)
    other = optim.epoch_decay(1e-3, steps_per_epoch=7, after=20, rate=0.1)
    np.testing.assert_allclose(float(other(7 * 20)), 1e-4, rtol=1e-6)
    fixed = optim.epoch_decay(5e-5, steps_per_epoch=7, after=20, rate=1.0)
    np.testing.assert_allclose(float(fixed(7 * 100)), 5e-5, rtol=1e-6)
    assert optim.delayed(rate, 140)(0) == rate(140)


def test_each_network_moves_at_the_papers_rate_of_the_epoch():
    """Adam's update under a constant gradient is its rate; one step an epoch here."""
    config = base.get_config()
    rates = AnimateTask(config).schedules(steps_per_epoch=1)
    tx = optim.multi_adam(rates, config.optim.b1, config.optim.b2)
    params = {name: jnp.zeros(()) for name in rates}
    state, moves = tx.init(params), []
    for _ in range(30):
        updates, state = tx.update({name: jnp.ones(()) for name in rates}, state, params)
        moves.append({name: -float(update) for name, update in updates.items()})
    by_epoch = {name: [moves[epoch - 1][name] for epoch in (1, 20, 21, 30)] for name in rates}
    near = functools.partial(np.testing.assert_allclose, rtol=1e-3)
    near(by_epoch["generator"], [2e-4, 2e-4, 1.8e-4, 6.974e-5])
    near(by_epoch["frame_discriminator"], [1e-3, 1e-3, 9e-4, 3.487e-4])
    near(by_epoch["sequence_discriminator"], [5e-5] * 4)


@pytest.mark.parametrize(
    ("scores", "stops_after"),
    [
        ([(20, 0.5), (19, 0.4), (19, 0.4)], 3),  # Two epochs without a better one.
        ([(20, 0.5), (19, 0.6), (19, 0.5), (21, 0.1)], None),  # SSIM or PSNR resets.
        ([(20, 0.5), (20, 0.5), (20, 0.5)], 3),  # Equal is not better.
        ([(20, 0.5), (NAN, NAN), (NAN, 0.6), (20.5, NAN)], None),
        ([(NAN, NAN), (NAN, NAN)], 2),
    ],
)
def test_early_stopping(scores, stops_after):
    stopping, stopped = EarlyStopping(patience=2), None
    for epoch, (psnr, ssim) in enumerate(scores, 1):
        stopping.update({"psnr": psnr, "ssim": ssim})
        if stopping.due():
            stopped = epoch
            break
    assert stopped == stops_after


def test_the_gradient_of_each_row_is_limited_and_the_value_is_not():
    """Of norm 5 to at most 2, and of norm 1, which stays; a zero stays zero."""
    x, factors = jnp.ones((3, 2)), jnp.array([[3.0, 4.0], [0.6, 0.8], [0.0, 0.0]])
    most = jnp.full(3, 2.0)
    np.testing.assert_array_equal(losses.limit_gradient(x, most), x)
    gradient = jax.grad(lambda x: jnp.sum(factors * losses.limit_gradient(x, most)))(x)
    np.testing.assert_allclose(gradient, [[1.2, 1.6], [0.6, 0.8], [0, 0]], rtol=1e-6)


def test_the_norm_of_l1s_gradient_is_known_beforehand():
    rng = np.random.default_rng(0)
    generated, real = jnp.asarray(rng.uniform(-1, 1, (2, 2, 3, 4, 3, 3)), jnp.float32)
    mask = jnp.array([[True, True, True], [True, True, False]])
    gradient = jax.grad(lambda x: losses.reconstruction(x, real, mask, 0.25).sum())(generated)
    norms = jnp.sqrt(jnp.sum(gradient**2, axis=(1, 2, 3, 4)))
    np.testing.assert_allclose(
        norms, losses.reconstruction_gradient(mask, (4, 3, 3), 0.25), rtol=1e-5
    )


def test_a_discriminator_that_is_right_too_often_rests():
    """Three of the four answers are right."""
    real, fake = jnp.array([2.0, -1.0]), jnp.array([-1.0, -3.0])
    assert [float(losses.learns(real, fake, share)) for share in (1.0, 0.75, 0.74)] == [1, 1, 0]


def test_variety_is_l1_around_the_eyes_of_the_draw_that_is_nearer_in_each_frame():
    """Of two draws one is off by 0.2 in frame 0 and 0.4 in frame 1, the other by 0.6 and 0.1."""
    rows, columns = eye_box(64, 48)
    real = jnp.zeros((1, 3, 64, 48, 3))
    off = jnp.array([[0.2, 0.4, 0.5], [0.6, 0.1, 0.5]])[:, None, :, None, None, None]
    draws = jnp.ones((2, 1, 3, 64, 48, 3)).at[..., rows, columns, :].set(off)
    mask = jnp.array([[True, True, False]])
    np.testing.assert_allclose(losses.variety(draws, real, mask), [0.15], rtol=1e-6)
    gradient = jax.grad(lambda x: losses.variety(x, real, mask).sum())(draws)
    nearer = jnp.abs(gradient).sum(axis=(3, 4, 5)) > 0
    np.testing.assert_array_equal(nearer[:, 0], [[True, False, False], [False, True, False]])


def test_the_drawn_share_is_the_masks_mean_over_real_frames_around_mouth_and_eyes():
    share = jnp.zeros((2, 3, 64, 48, 1)).at[0, :2, 56:].set(0.5).at[:, 2].set(1.0)
    for rows, columns in (mouth_box(64, 48), eye_box(64, 48)):
        share = share.at[:, :, rows, columns].set(0.9)
    mask = jnp.ones((2, 3), bool).at[:, 2].set(False)
    np.testing.assert_allclose(losses.drawn_share(share, mask), [0.5 / 8, 0], rtol=1e-6)


def test_deep_supervision_is_l1_over_real_frames():
    wanted = jnp.zeros((2, 3, 4))
    read = wanted.at[0, :, 1].set(2.0).at[:, 2].set(9.0)  # A quarter of the values; frame 2.
    mask = jnp.ones((2, 3), bool).at[:, 2].set(False)
    np.testing.assert_allclose(losses.deep_supervision(read, wanted, mask), [0.5, 0])


def test_lip_reading_is_the_divergence_of_the_letters_over_real_frames():
    """Of (3/4, 1/4) from (1/2, 1/2) at two steps of each of two frames; the third is padding."""
    real = jnp.log(jnp.array([[[0.75, 0.25]]])) * jnp.ones((1, 6, 1))
    fake = jnp.zeros((1, 6, 2)).at[:, 4:, 0].set(50.0)
    mask = jnp.array([[True, True, False]])
    expected = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    of = functools.partial(losses.lip_reading, real, mask=mask)
    np.testing.assert_allclose(of(fake, generated=jnp.array([2])), [expected], rtol=1e-5)
    np.testing.assert_allclose(of(fake, generated=jnp.array([1])), [2 * expected], rtol=1e-5)
    np.testing.assert_allclose(of(real, generated=jnp.array([2])), [0], atol=1e-6)


def test_the_spectrum_is_of_amplitudes_and_their_mean_over_frames():
    """Frames in another order, and waves in another phase, have the same; half a wave has ln 2 less."""
    rng = np.random.default_rng(0)
    frames = rng.uniform(-1, 1, (2, 6, 32, 24, 3)).astype(np.float32)
    mask = np.arange(6) < np.array([[6], [4]])
    of = functools.partial(jax.jit(losses.spectrum), shift=jnp.array([0, 0]))
    shuffled = frames.copy()
    shuffled[0] = frames[0, ::-1]
    shuffled[1, :4] = frames[1, 3::-1]
    shuffled[1, 4:] = 7.0  # What pads a clip.
    np.testing.assert_allclose(of(shuffled, frames, mask), 0, atol=1e-5)
    # A multiple of it: the logarithm of every amplitude falls by ln 2, but for the floor.
    np.testing.assert_allclose(of(frames / 2, frames, mask), np.log(2), rtol=0.03)
    wave = np.arange(24) * 2 * np.pi / 4
    sine, cosine = (
        np.broadcast_to(f(wave)[None, None, None, :, None], frames.shape) for f in (np.sin, np.cos)
    )
    assert of(cosine, sine, mask).max() < 0.03 < 0.1 < of(0 * sine, sine, mask).min()
    # A speck of one colour that leaves the luminance as it is.
    speck = np.zeros_like(frames)
    speck[:, :, 8, 8] = 0.3, -0.3, 0.0
    assert of(sine + speck, sine, mask).min() > 0.1


def test_the_spectrum_sees_every_place_as_well_over_the_shifts():
    """A speck in the middle of a block, which no other one sees, and one where four meet."""
    of = jax.jit(losses.spectrum)
    black, mask = jnp.zeros((1, 1, 48, 48, 3)), jnp.ones((1, 1), bool)

    def seen(row, column, shifts):
        speck = black.at[:, :, row, column].set(0.3)
        return np.mean([of(speck, black, mask, jnp.array(shift))[0] for shift in shifts])

    unshifted = [(0, 0)]
    assert seen(24, 24, unshifted) < 0.5 * seen(28, 28, unshifted)
    every = list(itertools.product(range(-4, 4), repeat=2))
    assert seen(24, 24, every) == pytest.approx(seen(28, 28, every), rel=1e-3)
    drawn = {tuple(np.asarray(losses.spectrum_shift(jax.random.key(i)))) for i in range(400)}
    assert drawn <= set(every) and len(drawn) > 55


def test_the_spectrum_of_black_frames_has_a_gradient():
    black = jnp.full((1, 2, 16, 16, 3), -1.0)
    mask = jnp.ones((1, 2), bool)
    gradient = jax.grad(lambda x: losses.spectrum(x, -black, mask, jnp.array([3, -4])).sum())(black)
    assert np.isfinite(gradient).all()
