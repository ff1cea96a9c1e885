"""Sound in chunks equals sound at once; a constant offset is removed."""

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.media import sound, sound_file, writer
from tests.wav_files import float_wav, wav

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 50001)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_the_chunks_of_a_file_are_its_sound(tmp_path, rate):
    path = wav(tmp_path / "a.wav", NOISE, rate)
    file = sound_file.SoundFile(path)
    parts = list(file.chunks())
    assert len(parts) > 10 and file.samples_decoded == len(NOISE) and file.rate == rate
    assert file.seconds == pytest.approx(len(NOISE) / rate, abs=1e-3)
    np.testing.assert_array_equal(np.concatenate(parts), sound_file.read_audio(path, rate))
    file.close()


def test_padding_of_aac_is_removed_in_chunks_too(tmp_path):
    path = tmp_path / "a.mp4"
    writer.write_video(path, np.zeros((20, 16, 16, 3), np.uint8), 25, NOISE[:12800], 16000)
    file = sound_file.SoundFile(path)
    assert sum(map(len, file.chunks())) == file.samples_decoded == 12800
    file.close()


def test_what_is_not_finite_is_lost_and_named(tmp_path):
    """Of a WAV, FFmpeg makes packets of 1024 samples of 4 bytes."""
    samples = NOISE.copy()
    samples[40000] = np.nan
    file = sound_file.SoundFile(float_wav(tmp_path / "a.wav", samples))
    heard = np.concatenate(list(file.chunks()))
    file.close()
    silent = np.flatnonzero(heard == 0)
    assert len(heard) == len(NOISE) and silent[0] <= 40000 <= silent[-1] < silent[0] + 4096
    np.testing.assert_array_equal(np.delete(heard, silent), np.delete(np.float32(NOISE), silent))
    (warning,) = [w for w in file.warnings() if "did not decode" in w]
    assert "a.wav: 1 of its" in warning and f"at {silent[0] / 16000:.2f} s" in warning


def test_the_bytes_of_a_file_are_its_sound(tmp_path):
    path = wav(tmp_path / "a.wav", NOISE, 8000)
    file = sound_file.SoundFile("elsewhere.wav", path.read_bytes())
    heard = np.concatenate(list(file.chunks()))
    file.close()
    np.testing.assert_array_equal(heard, sound_file.read_audio(path, 8000))
    with pytest.raises(UserError, match="of elsewhere.wav cannot be decoded"):
        sound_file.SoundFile("elsewhere.wav", b"no sound")


def test_bytes_that_refer_to_another_file_are_refused(tmp_path):
    path = wav(tmp_path / "a.wav", NOISE, 8000)
    for playlist in (f"#EXTM3U\n#EXTINF:1,\n{path}\n", f"ffconcat version 1.0\nfile {path}\n"):
        with pytest.raises(UserError, match="cannot be decoded"):
            sound_file.SoundFile("list", playlist.encode())


VOICE = np.random.default_rng(1).normal(0, 0.1, 16000).astype(np.float32)


@pytest.mark.parametrize("offset", [0.2, -0.3])
def test_sound_with_an_offset_is_as_without_it(offset):
    plain, shifted = (sound.OffsetRemover(16000, 1600) for _ in range(2))
    with_offset = VOICE[None] + np.float32(offset)
    np.testing.assert_allclose(shifted(with_offset), plain(VOICE[None]), atol=1e-6)
    assert abs(sound.remove_offset(with_offset[0]).mean()) < 1e-6


def test_sound_without_an_offset_stays_as_it_is():
    assert sound.remove_offset(VOICE) is VOICE
    tone = np.float32(0.5 * np.sin(2 * np.pi * 100 * np.arange(16000) / 16000))
    filtered = sound.OffsetRemover(16000, 1600)(tone[None])[0]
    assert np.sqrt(np.mean((filtered - tone) ** 2)) < 0.01 * np.sqrt(np.mean(tone**2))


def test_an_offset_is_removed_alike_in_pieces():
    """As long as the first samples are not complete, nothing comes out."""
    whole = sound.OffsetRemover(16000, 1600)(VOICE[None] + 0.1)
    remove = sound.OffsetRemover(16000, 1600)
    parts = [
        remove(part[None] + np.float32(0.1)) for part in np.split(VOICE, [0, 7, 7, 1599, 1601])
    ]
    assert not any(part.size for part in parts[:4]) and parts[4].shape == (1, 1601)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    short = sound.OffsetRemover(16000, 1600)
    assert not short(VOICE[None, :50]).size
    assert short(VOICE[None, :0], last=True).shape == (1, 50)
