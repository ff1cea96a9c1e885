import jax
import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.media.sound import Resampler
from data_pipelines.media.sound import resample as sound_resample
from s2f_jax.inference.animator import Animator
from s2f_jax.models import fused_generator, networks
from tests.tiny_generator import tiny_config, tiny_state

RNG = np.random.default_rng(0)
STILL = RNG.integers(0, 256, (16, 12, 3), np.uint8)


def speech(samples, seed=0):
    """Noise whose level comes and goes."""
    rng = np.random.default_rng(seed)
    level = np.abs(np.sin(np.arange(samples) / 3000))
    return (0.5 * level * rng.uniform(-1, 1, samples)).astype(np.float32)


def pieces(samples, rng, longest):
    """Cut at random: lengths from nothing to `longest`, short ones as likely as long ones."""
    at = 0
    while at < len(samples):
        size = int(rng.integers(2)) * int(np.exp(rng.uniform(0, np.log(longest))))
        yield samples[at : at + size]
        at += size


def streamed(animator, sound, rate, cuts, **options):
    stream = animator.stream(STILL, rate, aligned=True, **options)
    return np.concatenate([*(stream.push(piece) for piece in cuts), stream.flush()])


def differ(a, b):
    assert a.shape == b.shape and a.dtype == b.dtype == np.uint8
    return np.abs(a.astype(int) - b).max()


@pytest.mark.parametrize("trial", range(50))
def test_whatever_the_pieces_the_frames_are_the_offline_ones(animator, trial):
    rng = np.random.default_rng(trial)
    rate = int(rng.choice([8000, 16000, 22050, 44100, 48000, 50000, 12345]))
    sound = speech(int(rng.integers(1, 12 * rate)) if trial % 5 else trial // 5 + 1, trial)
    cuts = list(pieces(sound, rng, 10 * rate))
    drawn = streamed(animator, sound, rate, cuts, seed=trial)
    assert differ(drawn, animator(STILL, sound, rate, aligned=True, seed=trial)) <= 1


@pytest.mark.parametrize("size", [1, 7, 640])
def test_pieces_of_one_size(animator, size):
    sound = speech(3000)
    drawn = streamed(animator, sound, 16000, np.split(sound, range(size, 3000, size)))
    assert differ(drawn, animator(STILL, sound, 16000, aligned=True)) <= 1


def test_a_frame_comes_as_soon_as_its_window_is_there(animator):
    g = animator.generator
    stream = animator.stream(STILL, aligned=True)
    assert stream.look_ahead == pytest.approx(0.06)
    sound, came = speech(10 * g.stride), 0
    for i in range(0, len(sound), 80):
        came += len(stream.push(sound[i : i + 80]))
        heard = i + 80
        # Frame t's own 640 samples end at 640 * (t + 1), and it looks 960 further.
        assert came == max(0, (heard - 960) // 640)
    assert came + len(stream.flush()) == 10


def test_flush_pads_the_audio_with_silence(animator):
    sound = speech(2000)
    stream = animator.stream(STILL, aligned=True)
    drawn = np.concatenate([stream.push(sound), stream.flush()])
    longer = animator(STILL, np.pad(sound, (0, 6000)), 16000, aligned=True)
    assert differ(drawn, longer[: len(drawn)]) <= 1 and len(drawn) == 4


def test_nothing_in_nothing_out(animator):
    stream = animator.stream(STILL, aligned=True)
    assert stream.push(np.zeros(0, np.int16)).shape == (0, 16, 12, 3) == stream.flush().shape


def test_a_stream_ends(animator):
    stream = animator.stream(STILL, aligned=True)
    stream.flush()
    for ended in (lambda: stream.push(speech(9)), stream.flush):
        with pytest.raises(UserError, match="has ended: open another"):
            ended()


def test_a_bad_piece_leaves_the_stream_as_it_was(animator):
    sound, stream = speech(4000), animator.stream(STILL, aligned=True)
    first = stream.push(sound[:2000])
    for bad in (np.full(5, np.nan, np.float32), np.zeros((2, 5), np.float32), np.zeros(5, bool)):
        with pytest.raises(UserError, match="audio"):
            stream.push(bad)
    drawn = np.concatenate([first, stream.push(sound[2000:]), stream.flush()])
    assert differ(drawn, animator(STILL, sound, 16000, aligned=True)) <= 1


def test_two_streams_are_independent(animator):
    one, two = (animator.stream(STILL, aligned=True, seed=seed) for seed in (1, 2))
    sounds = speech(5000, 1), speech(5000, 2)
    parts = [
        (one.push(a), two.push(b))
        for a, b in zip(*(s.reshape(10, -1) for s in sounds), strict=True)
    ]
    for i, stream in enumerate((one, two)):
        drawn = np.concatenate([*(part[i] for part in parts), stream.flush()])
        alone = animator(STILL, sounds[i], 16000, aligned=True, seed=i + 1)
        assert differ(drawn, alone) <= 1


def test_half_precision_has_the_same_frames_to_40_decibels():
    config = tiny_config()
    variables = jax.device_get(tiny_state(config).variables("generator"))
    generators = [networks.generator(config.data, config.model)]
    config.model.dtype = "bfloat16"
    generators.append(networks.generator(config.data, config.model))
    full, half = (Animator(g, fused_generator.fuse_weights(g, variables)) for g in generators)
    sound = speech(16000)
    cuts = list(pieces(sound, np.random.default_rng(0), 4000))
    offline = half(STILL, sound, 16000, aligned=True)
    drawn = streamed(half, sound, 16000, cuts)
    assert drawn.shape == offline.shape == full(STILL, sound, 16000, aligned=True).shape
    error = np.mean((drawn.astype(float) - offline) ** 2)
    assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 40


@pytest.mark.parametrize("rates", [(44100, 16000), (8000, 50000), (12345, 16000), (16000, 16000)])
@pytest.mark.parametrize("samples", [1, 100, 30001])
def test_resampling_in_pieces_is_resampling(rates, samples):
    sound = speech(samples)
    resample = Resampler(*rates)
    parts = [resample(piece) for piece in pieces(sound, np.random.default_rng(3), 5000)]
    whole = np.concatenate([*parts, resample(sound[:0], last=True)])
    np.testing.assert_array_equal(whole, sound_resample(sound, *rates))


def test_the_state_does_not_grow_with_the_sound(animator):
    stream = animator.stream(STILL, aligned=True)
    sizes = []
    for _ in range(40):
        stream.push(speech(16000))
        sizes.append(stream._session._samples.nbytes)
    assert max(sizes[1:]) == sizes[1] < 4 * 4000
