"""The level of speech is that of `prepare --check`; it is judged at the end and while it comes."""

import numpy as np
import pytest

from data_pipelines.faces import measures
from s2f_jax.render.audio_level import LevelMeter

RATE = 16000
SPEECH = np.random.default_rng(0).normal(0, 0.1, 10 * RATE) * np.repeat(
    np.arange(100) % 4 > 0, 1600
)


def measured(sound, say=None):
    meter = LevelMeter(RATE)
    pieces = np.split(np.float32(sound), [0, 7, 700, 20000, 100001])
    heard = np.concatenate(list(meter.watch(pieces, say)))
    np.testing.assert_array_equal(heard, np.float32(sound))
    return meter


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.01])
def test_the_level_is_that_of_a_clip(gain):
    pcm = np.rint(32767 * np.clip(gain * SPEECH, -1, 1)).astype(np.int16)
    expected = measures.audio_measures(pcm, 250, 25)["level"]
    assert measured(pcm / 32768).level == pytest.approx(expected, abs=0.1)
    assert measured(pcm / 32768 + 0.2).level == pytest.approx(expected, abs=0.2)


def test_what_is_too_quiet_is_said_in_the_end_and_after_five_seconds():
    said = []
    assert not measured(SPEECH, said.append).warnings() and not said
    (warning,) = measured(0.01 * SPEECH, said.append).warnings()
    assert warning.startswith("the speech is at -6") and "(under -30 dBFS)" in warning
    assert len(said) == 1 and said[0].startswith("so far, the speech is at -6")
    (warning,) = measured(0 * SPEECH).warnings()
    assert "digital silence" in warning
    assert not measured(SPEECH[:100]).warnings()


def test_little_speech_in_long_noise_is_not_raised():
    noise = np.random.default_rng(1).normal(0, 1e-3, 60 * RATE)
    noise[20 * RATE : 21 * RATE] += np.random.default_rng(2).normal(0, 0.1, RATE)  # -20 dBFS.
    assert measured(noise).model_gain() == 1
    assert measured(0.01 * noise).model_gain() == pytest.approx(10 ** (30 / 20), rel=0.01)
