"""The generator is the one of PAPER and its authors: sizes, causality, and what each field does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2f_jax.models.context_encoder import AudioFrameEncoder, audio_windows, prime_factors
from s2f_jax.models.frame_decoder import SkipConv
from s2f_jax.models.generator import Generator

TINY = {
    "height": 32,
    "width_px": 24,
    "audio_rate": 1000,
    "fps": 25,
    "window": 160,
    "id_features": 3,
    "context_features": 6,
    "noise_features": 2,
    "width": 4,
    "audio_width": 2,
}
T = 6


def inputs(generator, batch=2, frames=T):
    rng = np.random.default_rng(0)
    still = rng.uniform(-1, 1, (batch, generator.height, generator.width_px, 3))
    samples = (frames - 1) * generator.stride + generator.window
    audio = rng.uniform(-1, 1, (batch, samples))
    noise = rng.normal(size=(batch, frames, generator.noise_features))
    return [jnp.asarray(x, jnp.float32) for x in (still, audio, noise)]


def build(**fields):
    """Convolutions ten times their usual start, so that without training something gets through."""
    generator = Generator(**{**TINY, **fields})
    variables = jax.jit(generator.init)(jax.random.key(0), *inputs(generator))
    params = jax.tree.map(lambda p: 10 * p if p.ndim > 2 else p, variables["params"])
    return generator, {**variables, "params": params}


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


# Parameters as PyTorch counts them; a flax GRU cell lacks the biases of hr and hz: 2 * features
# fewer a layer.
AUDIO_GRU, NOISE_GRU = 2 * 512, 20


@pytest.mark.parametrize(
    ("rate", "window", "id_features", "audio_cnn", "identity", "decoder_and_noise", "total"),
    [
        (50000, 8000, 50, 1361008, 11762560, 40103188, 54016260),
        (16000, 2560, 50, 1358288, 11762560, 40103188, 54013540),
        (50000, 10000, 128, 704112, 12721024, 41061652, 55276292),
        (48000, 9600, 128, 703952, 12721024, 41061652, 55276132),
        (16000, 3200, 128, 701392, 12721024, 41061652, 55273572),
    ],
)
def test_published_parameter_counts(
    rate, window, id_features, audio_cnn, identity, decoder_and_noise, total
):
    generator = Generator(audio_rate=rate, window=window, id_features=id_features)
    params = jax.eval_shape(
        lambda: generator.init(jax.random.key(0), *inputs(generator, 1, 1))["params"]
    )
    assert count(params["context_encoder"]["cnn"]) == audio_cnn
    assert count(params["context_encoder"]["gru"]) == 789504 - AUDIO_GRU
    assert count(params["identity_encoder"]) == identity
    ours = count(params["frame_decoder"]) + count(params["noise_generator"])
    assert ours == decoder_and_noise - NOISE_GRU
    assert count(params) == total - AUDIO_GRU - NOISE_GRU


def test_frames_are_images():
    generator, variables = build()
    frames = generator.apply(variables, *inputs(generator))
    assert frames.shape == (2, T, 32, 24, 3)
    assert float(jnp.abs(frames).max()) <= 1


def test_later_sound_and_noise_change_no_earlier_frame():
    generator, variables = build()
    run = jax.jit(generator.apply)
    still, audio, noise = inputs(generator)
    before = run(variables, still, audio, noise)
    end = 3 * generator.stride + generator.window  # Of frame 3's window.
    after = run(variables, still, audio.at[:, end:].set(0), noise.at[:, 4:].set(0))
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert (before[:, 4] != after[:, 4]).any()
    look = run(variables, still, audio.at[:, end - 1 :].set(0), noise)
    assert (before[:, 3] != look[:, 3]).any()


def test_chunks_with_a_carry_are_the_whole():
    generator, variables = build()
    still, audio, noise = inputs(generator)
    whole = generator.apply(variables, still, audio, noise)
    identity = generator.apply(variables, still, method="encode_identity")
    windows = audio_windows(audio, generator.stride, generator.window)
    carry, parts = generator.initial_carry(2), []
    for cut in (slice(0, 1), slice(1, 4), slice(4, T)):
        carry, frames = generator.apply(
            variables, identity, windows[:, cut], noise[:, cut], carry, method="animate"
        )
        parts.append(frames)
    np.testing.assert_allclose(jnp.concatenate(parts, axis=1), whole, atol=1e-5)


def test_skip_half_once_per_clip_is_the_plain_concatenation():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2 * 3, 8, 6, 4)), jnp.float32)
    skip = jnp.asarray(rng.normal(size=(2, 8, 6, 4)), jnp.float32)
    module = SkipConv(4)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 8, 4)), jnp.float32)
    variables = {"params": {"kernel": kernel}}
    ours = module.apply(variables, x, module.apply(variables, skip, method="skip_term"))
    both = jnp.concatenate([x, jnp.repeat(skip, 3, axis=0)], axis=-1)
    plain = jax.lax.conv_general_dilated(
        both, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(ours, plain, atol=1e-5)


@pytest.mark.parametrize(
    "fields",
    [
        {"height": 64, "width_px": 48},
        {"width_px": 32},
        {"audio_rate": 2000},
        {"fps": 20},
        {"window": 200},
        {"id_features": 4},
        {"context_features": 7},
        {"noise_features": 3},
        {"width": 5},
        {"audio_width": 3},
        {"copy_path": True},
        {"dtype": jnp.bfloat16},
    ],
)
def test_every_field_matters(fields):
    """noise_std scales the noise outside the module; step_test shows it."""

    def outline(**fields):
        """What the field can change: shapes and dtypes of sound, parameters, carry and frames."""
        generator = Generator(**{**TINY, **fields})

        def run():
            all_inputs = inputs(generator)
            variables = generator.init(jax.random.key(0), *all_inputs)
            frames = generator.apply(variables, *all_inputs)
            return all_inputs, variables, generator.initial_carry(1), frames

        return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), jax.eval_shape(run))

    assert outline() != outline(**fields)


def test_still_sound_and_noise_each_matter():
    generator, variables = build()
    all_inputs = inputs(generator)
    before = generator.apply(variables, *all_inputs)
    for i, x in enumerate(all_inputs):
        changed = [*all_inputs[:i], -x, *all_inputs[i + 1 :]]
        assert float(jnp.abs(generator.apply(variables, *changed) - before).max()) > 1e-6


def test_copy_path_mixes_the_drawing_with_the_still():
    generator, variables = build(copy_path=True)
    still, audio, noise = inputs(generator)
    frames = generator.apply(variables, jnp.ones_like(still), audio, noise)
    assert float(frames.mean()) > 0.3  # Mostly the white still, before any training.
    frames, _, share = generator.apply(
        variables, jnp.ones_like(still), audio, noise, method="draw_with_context"
    )
    assert bool((jnp.abs(frames - (1 - share)) <= share + 1e-6).all())  # What is drawn: [-1, 1].
    assert 0 < float(share.min()) < float(share.max()) < 1 and float(share.mean()) < 0.1


@pytest.mark.parametrize(("n", "factors"), [(160, [2, 2, 2, 2, 2, 5]), (200, [2, 2, 2, 5, 5])])
def test_prime_factors(n, factors):
    assert prime_factors(n) == factors


def test_an_audio_rate_without_whole_milliseconds_is_refused():
    with pytest.raises(ValueError, match="audio_rate=22050"):
        AudioFrameEncoder(22050).init(jax.random.key(0), jnp.zeros((1, 3528)), False)


def test_audio_windows_overlap_as_laid_out():
    windows = audio_windows(jnp.arange(12.0)[None], stride=2, window=6)
    np.testing.assert_array_equal(windows[0, :, 0], [0, 2, 4, 6])
    np.testing.assert_array_equal(windows[0, 3], [6, 7, 8, 9, 10, 11])


def test_the_static_generator_makes_each_frame_of_its_own_window_alone():
    """In another order of the windows come the same frames in that order (paper 3.3)."""
    generator, variables = build(recurrent=False, noise_features=0)
    still, audio, noise = inputs(generator)
    assert noise.shape[-1] == 0 and "noise_generator" not in variables["params"]
    windows = audio_windows(audio, generator.stride, generator.window)
    order = jnp.asarray([3, 0, 5, 1, 4, 2])

    @jax.jit
    def animate(windows):
        identity = generator.apply(variables, still, method="encode_identity")
        carry = generator.initial_carry(len(still))
        return generator.apply(variables, identity, windows, noise, carry, method="animate")

    carry, frames = animate(windows)
    assert jax.tree.leaves(carry) == []
    np.testing.assert_allclose(animate(windows[:, order])[1], frames[:, order], atol=1e-5)
    assert np.abs(np.diff(frames, axis=1)).max() > 1e-3


def test_without_skips_the_still_comes_by_its_code_alone():
    generator, variables = build(skips=False)
    still, audio, noise = inputs(generator)
    whole, _ = build()
    assert count(variables["params"]["frame_decoder"]) < count(
        jax.eval_shape(lambda: whole.init(jax.random.key(0), *inputs(whole)))["params"][
            "frame_decoder"
        ]
    )
    identity = jax.jit(lambda s: generator.apply(variables, s, method="encode_identity"))(still)
    assert set(identity.skip_terms) == {None}
    frames = jax.jit(lambda s: generator.apply(variables, s, audio, noise))
    assert np.abs(frames(still) - frames(-still)).max() > 1e-3
