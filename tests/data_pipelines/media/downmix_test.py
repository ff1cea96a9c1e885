"""A voice keeps its level, whichever channels it is in, and in whichever phase."""

import numpy as np
import pytest

from data_pipelines.media.downmix import Downmixer, default_layout

RATE = 16000
RNG = np.random.default_rng(0)
VOICE = RNG.normal(0, 0.1, 3 * RATE) * np.repeat(RNG.uniform(0, 1, 60) ** 2, RATE // 20)
SURROUND = ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")


def decibels(a, b):
    return 10 * np.log10(np.mean(a**2) / np.mean(b**2))


def mixed(gains, layout=None):
    channels = np.outer(gains, VOICE)
    return Downmixer(layout or default_layout(len(gains)), RATE)(channels)


def test_equal_channels_are_their_mean_to_the_last_bit():
    np.testing.assert_array_equal(mixed([1.0, 1.0]), VOICE)
    np.testing.assert_array_equal(mixed([1.0]), VOICE)


@pytest.mark.parametrize(
    "gains",
    [
        (1, 0),
        (0, 1),
        (1, -1),
        (-1, 1),
        (1, -0.4),
        (1, 0.5),
        (0, 0, 1, 0, 0, 0),  # The center of 5.1: a mean would be 15.6 dB quieter.
        (0, 0, 1, 0, 0, 0, 0, 0),  # 18.1 dB.
        (1, 1, 1, 0, 0, 0),
        (1, -1, 0, 0, 0, 0),
        (0, 0, 0, 0, 0, 1),
        (1, 0, 0, 0),
        (1, -1, 1, -1),
    ],
)
def test_a_voice_keeps_its_level(gains):
    assert decibels(mixed(np.array(gains, float)), VOICE) == pytest.approx(0, abs=0.1)


def test_voices_drawn_at_random_keep_their_level():
    """Any layout, one voice in any channels with any gains and phases; the LFE counts for nothing."""
    rng = np.random.default_rng(1)
    for _ in range(100):
        count = int(rng.integers(1, 9))
        layout = tuple(rng.permutation(SURROUND)[:count])
        gains = rng.uniform(-1, 1, count) * (rng.random(count) < 0.7)
        heard = [abs(g) for g, name in zip(gains, layout, strict=True) if name != "LFE"]
        if max(heard, default=0) < 0.05:
            continue
        level = decibels(mixed(gains, layout), VOICE) - 20 * np.log10(max(heard))
        assert abs(level) < 0.7, (layout, gains)


def test_unlike_channels_keep_their_sum():
    """Two people, one microphone each."""
    other = RNG.permutation(VOICE)
    mono = Downmixer(("FL", "FR"), RATE)(np.stack([VOICE, other]))
    assert abs(decibels(mono, VOICE)) < 1.0
    assert np.corrcoef(mono, VOICE + other)[0, 1] > 0.99


def test_pieces_give_the_same_mix():
    channels = np.stack([VOICE, -0.8 * VOICE + 0.01 * RNG.normal(size=len(VOICE))])
    whole = Downmixer(("FL", "FR"), RATE)
    expected = whole(channels)
    mix, parts = Downmixer(("FL", "FR"), RATE), []
    ends = np.sort(RNG.integers(0, len(VOICE), 40))
    for part in np.split(channels, [0, 0, *ends], axis=1):  # Some are empty.
        parts.append(mix(part))
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-12)
    assert mix.inverted_samples == whole.inverted_samples > 0.9 * mix.samples


@pytest.mark.parametrize("offsets", [(0.2, -0.2), (0.1, 0.1), (0.3, 0.0)])
def test_a_constant_offset_of_the_channels_changes_no_phase_and_no_level(offsets):
    channels = np.stack([VOICE, VOICE]) + np.array(offsets)[:, None]
    mixed = Downmixer(("FL", "FR"), RATE)(channels)
    assert decibels(mixed - mixed.mean(), VOICE) == pytest.approx(0, abs=0.2)
