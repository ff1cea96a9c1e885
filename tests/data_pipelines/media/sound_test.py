"""Sound decoded in chunks equals sound decoded at once."""

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.media import sound, writer
from tests.wav_files import float_wav, wav

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 50001)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_the_chunks_of_a_file_are_its_sound(tmp_path, rate):
    path = wav(tmp_path / "a.wav", NOISE, rate)
    file = sound.SoundFile(path)
    parts = list(file.chunks())
    assert len(parts) > 10 and file.samples_decoded == len(NOISE) and file.rate == rate
    assert file.seconds == pytest.approx(len(NOISE) / rate, abs=1e-3)
    np.testing.assert_array_equal(np.concatenate(parts), sound.read_audio(path, rate))
    file.close()


def test_padding_of_aac_is_removed_in_chunks_too(tmp_path):
    path = tmp_path / "a.mp4"
    writer.write_video(path, np.zeros((20, 16, 16, 3), np.uint8), 25, NOISE[:12800], 16000)
    file = sound.SoundFile(path)
    assert sum(map(len, file.chunks())) == file.samples_decoded == 12800
    file.close()


def test_chunks_before_the_damage_are_decoded(tmp_path):
    """So that a long file need not be read twice."""
    samples = NOISE.copy()
    samples[40000] = np.nan
    file = sound.SoundFile(float_wav(tmp_path / "a.wav", samples))
    with pytest.raises(UserError, match="samples that are not finite; give"):
        for _ in file.chunks():
            pass
    assert 38000 < file.samples_decoded <= 40000
    file.close()


def test_the_bytes_of_a_file_are_its_sound(tmp_path):
    path = wav(tmp_path / "a.wav", NOISE, 8000)
    file = sound.SoundFile("elsewhere.wav", path.read_bytes())
    heard = np.concatenate(list(file.chunks()))
    file.close()
    np.testing.assert_array_equal(heard, sound.read_audio(path, 8000))
    with pytest.raises(UserError, match="of elsewhere.wav cannot be decoded"):
        sound.SoundFile("elsewhere.wav", b"no sound")


def test_bytes_that_refer_to_another_file_are_refused(tmp_path):
    path = wav(tmp_path / "a.wav", NOISE, 8000)
    for playlist in (f"#EXTM3U\n#EXTINF:1,\n{path}\n", f"ffconcat version 1.0\nfile {path}\n"):
        with pytest.raises(UserError, match="cannot be decoded"):
            sound.SoundFile("list", playlist.encode())
