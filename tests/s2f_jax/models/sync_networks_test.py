"""The sync network and discriminator see the lips and hear the sound that they should."""

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.loading import training_examples
from s2f_jax.models.sync_discriminator import SyncDiscriminator
from s2f_jax.models.sync_network import SyncNetwork

RATE, STRIDE, WINDOW, FRAMES = 1000, 40, 160, 12
SMALL = {"features": 6, "width": 4, "audio_width": 2}
RNG = np.random.default_rng(0)


def clip(frames=FRAMES):
    """Video [1, T, H, W, 3] in [-1, 1] and sound int16 [T * stride]."""
    video = jnp.asarray(RNG.uniform(-1, 1, (1, frames, 16, 12, 3)), jnp.float32)
    return video, RNG.integers(-9999, 9999, frames * STRIDE).astype(np.int16)


def initialised(module, *inputs):
    return jax.jit(module.init)(jax.random.key(0), *inputs)


def network():
    module, (video, _) = SyncNetwork(RATE, **SMALL), clip()
    variables = initialised(module, video[:, :5], jnp.zeros((1, 200)))
    see = jax.jit(lambda video: module.apply(variables, video, method="encode_frames"))
    return (
        variables,
        see,
        jax.jit(lambda sound: module.apply(variables, sound, method="encode_sound")),
    )


def test_codes_have_256_features_at_full_size_and_no_statistics():
    frames, sound = jnp.zeros((2, 5, 128, 96, 3)), jnp.zeros((2, 3200))
    module = SyncNetwork(16000)
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), frames, sound))
    assert variables.keys() == {"params"}
    for method, of in (("encode_frames", frames), ("encode_sound", sound)):
        codes = jax.eval_shape(lambda v, of, m=method: module.apply(v, of, method=m), variables, of)
        assert codes.shape[-1] == 256


def test_a_code_is_that_of_its_five_frames_wherever_they_are():
    video, _ = clip()
    _, see, _ = network()
    codes = see(video)
    assert codes.shape == (1, FRAMES - 4, 6)
    for i in (0, 3, FRAMES - 5):
        np.testing.assert_allclose(see(video[:, i : i + 5])[:, 0], codes[:, i], rtol=1e-4)
        for t in range(FRAMES):
            changed = (see(video.at[:, t].multiply(-1))[:, i] != codes[:, i]).any()
            assert changed == (i <= t < i + 5)


def test_only_the_lower_half_is_seen():
    video, _ = clip()
    _, see, _ = network()
    np.testing.assert_array_equal(see(video.at[:, :, :8].set(0)), see(video))
    assert (see(video.at[:, :, 8].set(0)) != see(video)).any(axis=-1).all()


def test_codes_of_fresh_networks_differ_from_input_to_input():
    """Without BatchNorm and with N(0, 0.02) they would be equal to the last digit."""
    video, sound = clip()
    _, see, hear = network()
    for codes in (see(video)[0], hear(jnp.asarray(sound[:400].reshape(2, 200)) / 32768)):
        assert np.std(codes, axis=0).mean() > 0.01 * np.abs(codes).mean() > 0


def discriminator(video, audio, centres):
    module = SyncDiscriminator(RATE, STRIDE, WINDOW, **SMALL)
    windows = video[:, centres[0][:, None] + np.arange(-2, 3)]
    variables = initialised(module, windows, audio, centres)
    judge = jax.jit(lambda *inputs: module.apply(variables, *inputs, train=True))
    return variables, windows, judge


def test_the_logit_falls_with_the_distance_of_frames_and_sound_of_one_moment():
    video, sound = clip()
    padded = training_examples.cut_audio(sound, 0, FRAMES, WINDOW, STRIDE) / 32768
    centres = np.array([[2, 6, FRAMES - 3]])
    variables, windows, judge = discriminator(video, padded[None], centres)
    heard = [training_examples.cut_audio(sound, c, 1, 200, STRIDE) / 32768 for c in centres[0]]
    # At 25 frames/s these are the five frames' own samples.
    np.testing.assert_array_equal(heard[1] * 32768, sound[4 * STRIDE : 9 * STRIDE])
    towers = SyncNetwork(RATE, **SMALL)
    of_towers = {"params": variables["params"]["towers"]}
    distance = towers.apply(of_towers, windows[0], jnp.asarray(heard))
    logit = judge(windows, padded[None], centres)
    np.testing.assert_allclose(
        logit, variables["params"]["threshold"] - distance, rtol=1e-4, atol=1e-5
    )


def test_sound_elsewhere_does_not_reach_the_logit():
    video, sound = clip()
    centres = np.array([[6]])

    def padded(sound):
        return training_examples.cut_audio(sound, 0, FRAMES, WINDOW, STRIDE)[None] / 32768

    _, windows, judge = discriminator(video, padded(sound), centres)
    for sample, heard in ((4 * STRIDE - 1, False), (4 * STRIDE, True), (9 * STRIDE - 1, True)):
        other = sound.copy()
        other[sample] += 20000
        logits = [judge(windows, padded(each), centres) for each in (sound, other)]
        assert (logits[0] != logits[1]).all() == heard


def test_sound_before_and_after_the_clip_is_silence():
    """Where a frame rate, or a generator's short window, leaves less padding than 0.2 s asks for."""
    video, sound = clip()
    module = SyncDiscriminator(RATE, STRIDE, STRIDE, **SMALL)  # No padding at all.
    centres = np.array([[0, FRAMES - 1]])
    windows = jnp.zeros((1, 2, 5, 16, 12, 3))
    variables = initialised(module, windows, sound[None] / 32768, centres)
    heard = [training_examples.cut_audio(sound, c, 1, 200, STRIDE) / 32768 for c in (0, FRAMES - 1)]
    of_towers = {"params": variables["params"]["towers"]}
    distance = SyncNetwork(RATE, **SMALL).apply(of_towers, windows[0], jnp.asarray(heard))
    logit = module.apply(variables, windows, sound[None] / 32768, centres, train=False)
    threshold = variables["params"]["threshold"]
    np.testing.assert_allclose(logit, threshold - distance, rtol=1e-4, atol=1e-5)
