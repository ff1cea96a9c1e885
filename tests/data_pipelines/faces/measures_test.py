"""Sound and lips measured: numbers by hand, and laws of shifting."""

import numpy as np
import pytest

from data_pipelines.faces import measures

RATE, FPS, STRIDE = 16000, 25, 640


def lips(openings):
    """Faces [T, 68, 2], 30 px between the eyes, whose inner lips are that many pixels apart."""
    points = np.zeros((len(openings), 68, 2), np.float32)
    points[:, 36:42], points[:, 42:48] = (33, 43), (63, 43)
    for upper, lower, x in ((61, 67, 44), (62, 66, 48), (63, 65, 52)):
        points[:, upper] = (x, 90)
        points[:, lower, 0], points[:, lower, 1] = x, 90 + np.asarray(openings)
    return points


def square(levels):
    """A square wave, a period of four samples; frame t has the amplitude levels[t]."""
    wave = np.tile([1, 1, -1, -1], STRIDE // 4)
    return np.concatenate([level * wave for level in levels]).astype(np.int16)


def sound(audio):
    return measures.audio_measures(audio, len(audio) // STRIDE, FPS)


def test_mouth_opening_by_hand():
    np.testing.assert_allclose(measures.mouth_opening(lips([0, 3, 15])), [0, 0.1, 0.5])


def test_loudness_by_hand():
    audio = np.repeat(np.array([0, 328, 32768 / 10], np.int16), 4)
    level = measures.loudness(audio, 3)
    np.testing.assert_allclose(level, [20 * np.log10(1 / 32768), -40, -20], atol=0.01)


def test_loudness_where_a_frame_is_no_whole_number_of_samples():
    """At 29.97 frames/s and 16 kHz a frame has 533.87 samples, 900 of them 480,480."""
    samples = 900 * 16000 * 1001 // 30000
    audio = np.zeros(samples, np.int16)
    audio[samples * 600 // 900 : samples * 601 // 900] = 3277
    level = measures.loudness(audio, 900)
    assert level[600] == pytest.approx(-20, abs=0.01)
    assert np.delete(level, 600).max() < -80


def test_silence_is_not_in_the_level():
    found = sound(square([0] * 5 + [3277] * 13 + [0] * 2))
    assert found["level"] == pytest.approx(-20, abs=0.01)
    assert found["peak"] == pytest.approx(-20, abs=0.01)
    assert found["silence"] == pytest.approx(35)
    assert (found["lead"], found["trail"]) == (5 / 25, 2 / 25)


def test_noise_alone_has_no_dynamics():
    assert sound(square([500] * 20))["dynamics"] == pytest.approx(0)
    assert sound(square([33] * 10 + [3277] * 10))["dynamics"] == pytest.approx(40, abs=0.1)


def test_a_pause_is_silence_and_neither_lead_nor_trail():
    found = sound(square([3277] * 5 + [50] * 10 + [3277] * 5))
    assert (found["silence"], found["lead"], found["trail"]) == (50, 0, 0)


def test_digital_silence_has_no_speech():
    found = sound(square([0] * 10))
    assert (found["silence"], found["lead"], found["trail"]) == (100, 0.4, 0.4)
    assert found["level"] == found["peak"] == pytest.approx(-90.3, abs=0.1)


def test_clipping_is_counted_at_full_scale_alone():
    audio = square([3277] * 10)
    audio[100:116], audio[500], audio[700:703] = 32767, -32768, -32767
    found = sound(audio)
    assert found["clipped"] == pytest.approx(100 * 20 / 6400)
    assert found["clipped_run"] == 16
    assert sound(square([32700] * 10))["clipped"] == 0


def test_a_constant_is_a_share_of_full_scale():
    assert sound(square([3277] * 10))["dc"] == 0
    assert sound(square([3277] * 10) + 328)["dc"] == pytest.approx(1, abs=0.01)


def speaking(frames=75, seed=0):
    """An opening that the loudness follows, as both are in speech."""
    rng = np.random.default_rng(seed)
    syllables = np.convolve(rng.uniform(0, 1, frames) > 0.75, [0.3, 0.7, 1, 0.7, 0.3], "same")
    return 0.3 * syllables, -60 + 30 * syllables + rng.normal(0, 0.5, frames)


@pytest.mark.parametrize("late", [-9, -3, 0, 2, 11])
def test_sound_that_is_late_is_found_late_by_as_much(late):
    opening, levels = speaking(100)
    found, strength = measures.audio_offset(opening[12:88], np.roll(levels, late)[12:88])
    assert found == late
    assert strength > 0.6


def test_shifting_a_clips_samples_moves_its_offset():
    openings = 10 * speaking()[0]
    audio = square(100 + 1500 * openings)
    for late in (0, 4):
        shifted = np.pad(audio, (late * STRIDE, 0))[: len(audio)]
        levels = measures.loudness(shifted, 75)
        assert measures.audio_offset(measures.mouth_opening(lips(openings)), levels)[0] == late


def test_neither_silence_nor_a_still_mouth_has_an_offset():
    opening, levels = speaking()
    for m, level in ((opening, np.full(75, -90.0)), (np.full(75, 0.1), levels)):
        assert np.isnan(measures.audio_offset(m, level)).all()
    assert np.isnan(measures.audio_offset(opening[:20], levels[:20])).all()


def test_unrelated_sound_agrees_weakly():
    strengths = [
        measures.audio_offset(speaking(seed=k)[0], speaking(seed=50 + k)[1])[1] for k in range(9)
    ]
    assert max(strengths) < 0.6


def with_holes(levels, holes):
    """Levels of sound without what is in the holes, laid end to end, and with silence for it."""
    keep = np.ones(len(levels), bool)
    for start, end in holes:
        keep[start:end] = False
    silence = np.full((~keep).sum(), -91.0)
    return np.concatenate([levels[keep], silence]), np.where(keep, levels, -91.0)


@pytest.mark.parametrize("holes", [[(40, 52)], [(20, 30), (60, 75), (90, 96)]])
def test_sound_that_is_early_after_holes_is_out_of_step(holes):
    opening, levels = speaking(150, seed=3)
    for start, end in holes:
        opening[start - 2 : end + 2] = 0  # Nothing is said in a pause.
        levels[start - 2 : end + 2] = -60
    end_to_end, in_place = with_holes(levels, holes)
    assert measures.lost_pauses(opening, end_to_end) > 40
    silent_end, _ = with_holes(levels, [(144, 150)])
    assert not measures.lost_pauses(opening, silent_end) > 25
    assert np.isnan(measures.lost_pauses(opening, in_place))  # No silence at the end.


def test_repeated_frames_are_frozen():
    frames = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    assert measures.frozen_percent(frames) == 0
    assert measures.frozen_percent(frames[[0, 1, 1, 1, 2]]) == 50
    assert measures.frozen_percent(frames[:1]) == 0


def test_warmth_is_red_over_blue():
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    frames[..., :] = (120, 77, 50)
    assert measures.color_warmth(frames) == 70
