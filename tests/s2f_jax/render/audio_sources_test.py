"""Sound as it comes: whatever its samples and however its bytes are cut."""

import struct
import sys
import types

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.media.downmix import Downmixer, default_layout
from s2f_jax.render import audio_sources

NOISE = np.random.default_rng(0).uniform(-0.9, 0.9, (500, 2))


def encoded(samples, kind):
    """[S, channels] in [-1, 1] -> bytes."""
    if kind[1] == "f":
        return samples.astype(kind).tobytes()
    bits = 8 * int(kind[2:])
    whole = np.rint(samples * (2 ** (bits - 1) - 1)).astype(np.int64)
    whole = whole + 128 if bits == 8 else whole
    return whole.astype("<i8").reshape(-1, 1).view(np.uint8)[:, : bits // 8].tobytes()


def wav(samples, kind="<i2", rate=16000, size=None, extensible=False, before=b"", after=b""):
    data, channels, width = encoded(samples, kind), samples.shape[1], int(kind[2:])
    tag = 3 if kind[1] == "f" else 1
    form = struct.pack(
        "<HHIIHH",
        0xFFFE if extensible else tag,
        channels,
        rate,
        rate * channels * width,
        channels * width,
        8 * width,
    )
    if extensible:
        form += struct.pack("<HHIH", 22, 8 * width, 3, tag) + bytes(14)
    size = len(data) if size is None else size
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + before
    return b"RIFF\0\0\0\0WAVE" + chunks + b"data" + struct.pack("<I", size) + data + after


@pytest.fixture(params=[7, 1 << 16])
def read(request, tmp_path, monkeypatch):
    """Bytes through a file, so many at a time -> the source and all its sound."""
    monkeypatch.setattr(audio_sources, "_READ_BYTES", request.param)

    def read(data, form="wav", rate=None):
        (tmp_path / "sound").write_bytes(data)
        source = audio_sources.open_audio(str(tmp_path / "sound"), form, rate)
        try:
            return source, np.concatenate([np.zeros(0, np.float32), *source.pieces])
        finally:
            source.close()

    return read


@pytest.mark.parametrize("kind", ["<i1", "<i2", "<i3", "<i4", "<f4", "<f8"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("extensible", [False, True])
def test_every_wav_is_mixed_to_one_channel(read, kind, channels, extensible):
    samples = NOISE[:, :channels]
    source, heard = read(wav(samples, kind, 22050, extensible=extensible))
    assert source.rate == 22050 and heard.dtype == np.float32
    expected = Downmixer(default_layout(channels), 22050)(samples.T)
    np.testing.assert_allclose(
        heard, np.clip(expected, -1, 1), atol=0.03 if kind == "<i1" else 2e-4
    )


def test_other_chunks_of_a_wav_are_skipped(read):
    extra = b"LIST" + struct.pack("<I", 5) + b"hello\0"
    _, plain = read(wav(NOISE))
    _, heard = read(wav(NOISE, before=extra, after=extra))
    np.testing.assert_array_equal(heard, plain)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_may_lack_its_length(read, size):
    assert len(read(wav(NOISE, size=size))[1]) == len(NOISE)


def test_raw_samples(read):
    mono = NOISE[:, :1]
    source, heard = read(encoded(mono, "<i2"), "s16le", 8000)
    assert source.rate == 8000 and heard == pytest.approx(mono[:, 0], abs=1e-4)
    source, heard = read(encoded(mono, "<f4"), "f32le")
    assert source.rate is None and heard == pytest.approx(mono[:, 0], abs=1e-6)


def test_the_format_of_standard_input_is_detected(monkeypatch):
    for data, rate in ((wav(NOISE, rate=8000), 8000), (b"RI" + bytes(100), None), (b"", None)):
        left = [data[:2], data[2:]]
        monkeypatch.setattr(
            audio_sources.os, "read", lambda fd, n, left=left: left.pop(0) if left else b""
        )
        source = audio_sources.open_audio("-", None, None)
        heard = sum(map(len, source.pieces))
        assert source.rate == rate and heard == (500 if rate else len(data) // 2)


NAN = np.array([[0.1], [0.2], [np.nan], [0.3]])


@pytest.mark.parametrize(
    ("data", "form", "message"),
    [
        (b"", "wav", "is not a WAV .*: give its --format"),
        (b"noise" * 20, "wav", "is not a WAV"),
        (b"RIFF\0\0\0\0AVI LIST", "wav", "begins like a WAV but is not one: give"),
        (wav(NOISE)[:20], "wav", "ends in its format: give"),
        (wav(NOISE)[:38], "wav", "ends before its sound: give"),
        (wav(NOISE)[:1043], "wav", "ends after 999 of 2000 bytes of sound: give"),
        (wav(NOISE).replace(b"fmt ", b"frm "), "wav", "has its sound before its format"),
        (wav(NOISE).replace(b"\x01\0\x02\0", b"\x07\0\x02\0"), "wav", "16 bits in format 7: give"),
        (wav(NOISE, rate=0), "wav", "the 0 Hz of .*sound is not a sampling rate of speech: give"),
        (wav(NOISE[:, :1], size=0)[:-1], "wav", r"ends inside a sample \(1 of 2 bytes\)"),
        (b"123", "s16le", r"ends inside a sample \(1 of 2 bytes\): give"),
        (b"12345", "f32le", r"ends inside a sample \(1 of 4 bytes\): give"),
        (encoded(NAN, "<f4"), "f32le", "sample 2 of .* is not finite: give"),
        (encoded(np.array([[np.inf]]), "<f4"), "f32le", "sample 0 of .* is not finite: give"),
    ],
)
def test_invalid_audio_is_reported(read, data, form, message):
    with pytest.raises(UserError, match=message) as error:
        read(data, form)
    assert "\n" not in str(error.value)


def test_audio_before_an_error_is_returned(tmp_path):
    (tmp_path / "a").write_bytes(encoded(NOISE[:, :1], "<i2") + b"x")
    source, heard = audio_sources.open_audio(str(tmp_path / "a"), "s16le", 16000), 0
    with pytest.raises(UserError):
        for piece in source.pieces:
            heard += len(piece)
    source.close()
    assert heard == len(NOISE)


def test_a_rate_that_contradicts_the_audio_is_reported(read, tmp_path):
    assert read(wav(NOISE, rate=8000), "wav", 8000)[0].rate == 8000
    with pytest.raises(UserError, match="--rate=9000, but .* says 8000 Hz: leave --rate out"):
        read(wav(NOISE, rate=8000), "wav", 9000)
    with pytest.raises(UserError, match="--rate=0 is not a sampling rate of speech: give"):
        read(b"", "s16le", 0)
    with pytest.raises(UserError, match="--rate=9000, but .* says 16000 Hz"):  # Decoded.
        read(wav(NOISE), None, 9000)


class Recorder:
    """Stands in for PortAudio's stream: three blocks of sound as it starts."""

    closed = False

    def __init__(self, samplerate, device, channels, dtype, callback):
        if device == "none":
            raise ValueError("No input device matching 'none'")
        assert channels == 1 and dtype == "float32"
        self.callback = callback

    def start(self):
        for i in range(3):
            block = np.full((4, 1), i / 4, np.float32)
            self.callback(block, 4, None, None)
            block[:] = 9  # Its memory is used again.

    def close(self):
        Recorder.closed = True


@pytest.fixture
def recorder(monkeypatch):
    module = types.ModuleType("sounddevice")
    module.InputStream, module.PortAudioError = Recorder, type("PortAudioError", (Exception,), {})
    module.query_devices = lambda device, kind: {"default_samplerate": 44100.0}
    monkeypatch.setitem(sys.modules, "sounddevice", module)


def test_a_microphone_is_read_block_by_block(recorder):
    source = audio_sources.open_microphone("", None)
    assert source.rate == 44100
    heard = [next(source.pieces) for _ in range(3)]
    np.testing.assert_array_equal(np.concatenate(heard), np.repeat([0, 0.25, 0.5], 4))
    source.pieces.close()
    assert Recorder.closed
    assert audio_sources.open_microphone("2", 16000).rate == 16000


def test_a_missing_microphone_is_reported(recorder, monkeypatch):
    with pytest.raises(UserError, match="--microphone=none: cannot record"):
        audio_sources.open_microphone("none", 16000)

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice")
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(UserError, match=r"PortAudio .*not found\): apt-get install"):
        audio_sources.open_microphone("", None)
