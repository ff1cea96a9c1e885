"""The sounds and videos of shared/inputs give what the README there says."""

import contextlib
import pathlib

import numpy as np
import pytest

from data_pipelines.media import decode
from data_pipelines.media.sound import OffsetRemover
from data_pipelines.media.sound_file import SoundFile
from tests import beep_files

INPUTS = pathlib.Path(__file__).parents[4] / "shared" / "inputs"
pytestmark = pytest.mark.skipif(not INPUTS.is_dir(), reason="needs shared/inputs")


def read(name):
    with contextlib.closing(SoundFile(INPUTS / name)) as file:
        return np.concatenate(list(file.chunks())), file.rate, file.losses


@pytest.mark.parametrize("suffix", ["mp4", "webm", "mkv"])
def test_clicks_coincide_with_flashes_after_a_gap(suffix):
    path = INPUTS / f"sound_gap.{suffix}"
    lit, origin = beep_files.flashes(path, 140)
    sound = decode.decode_sound(path, origin)
    assert len(lit) >= 2 and max(lit) > 4
    assert np.abs(beep_files.onsets(sound.samples, sound.rate, lit)).max() < 0.005
    assert sound.losses.filled() == pytest.approx(1.4, abs=0.15)
    assert len(sound.samples) / sound.rate == pytest.approx(6, abs=0.05)


def test_what_follows_an_mp3_is_passed_over():
    samples, rate, losses = read("lyrics_tag.mp3")
    assert len(samples) == 2 * rate and losses.lost == 1 and losses.lost_at >= 2
    samples, rate, losses = read("joined_with_id3.mp3")
    assert len(samples) / rate == pytest.approx(4.1, abs=0.05)
    assert losses.lost == 1 and losses.lost_at == pytest.approx(2, abs=0.05)


def test_a_voice_is_at_its_level_in_any_channel():
    voice, rate, _ = read("inverted_stereo.flac")
    centre, _, _ = read("centre_of_5.1.flac")
    offset, _, _ = read("dc_offset_20_percent.flac")
    for samples in (voice, centre, offset - offset.mean()):
        level = 20 * np.log10(samples.std())
        assert level == pytest.approx(-19.9, abs=0.2)
    assert np.corrcoef(voice, centre)[0, 1] > 0.99
    remove, plain = OffsetRemover(rate, 1600), OffsetRemover(rate, 1600)
    np.testing.assert_allclose(remove(offset), plain(offset - np.float32(0.2)), atol=1e-5)
