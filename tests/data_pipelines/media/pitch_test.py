"""Voices raised and lowered."""

import numpy as np
import pytest

from data_pipelines.media.pitch import shift_pitch


def peak(audio, rate):
    """The strongest frequency, Hz."""
    middle = audio[len(audio) // 4 : -len(audio) // 4].astype(float)
    return np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle))))) * rate / len(middle)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("semitones", [-4.0, -0.5, 3.0, 12.0])
def test_a_tone_is_moved_by_as_many_semitones(rate, semitones):
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)).astype(np.int16)
    shifted = shift_pitch(tone, rate, semitones)
    assert shifted.dtype == np.int16 and shifted.shape == tone.shape
    assert peak(shifted, rate) == pytest.approx(440 * 2 ** (semitones / 12), rel=3e-3)


@pytest.mark.parametrize("semitones", [-4.0, 2.0, 4.0])
def test_words_stay_where_they_are_in_time(semitones):
    rate = 16000
    t = np.arange(3 * rate) / rate
    said = (t > 0.6) & (t < 1.0) | (t > 1.7) & (t < 2.3)
    voice = sum(np.sin(2 * np.pi * 120 * k * t + k) for k in range(1, 12))
    shifted = shift_pitch((said * voice * 1500).astype(np.int16), rate, semitones)
    loud = np.abs(shifted.reshape(-1, rate // 100)).max(axis=1) > 1500  # Of 10 ms each.
    edges = np.flatnonzero(np.diff(loud.astype(int))) / 100
    assert edges[[0, -1]] == pytest.approx([0.6, 2.3], abs=0.055)
    assert not loud[110:160].any() and loud[70:90].all() and loud[180:220].all()


def test_no_shift_and_no_sound_are_left_alone():
    audio = np.arange(-500, 500, dtype=np.int16)
    assert shift_pitch(audio, 16000, 0.0) is audio
    assert shift_pitch(audio[:0], 16000, 3.0).shape == (0,)
    short = audio[:10]  # Less than the filter needs.
    assert shift_pitch(short, 16000, 3.0) is short
