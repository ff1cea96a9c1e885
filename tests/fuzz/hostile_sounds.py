"""Sound files of every kind, whole, lying and damaged; none much longer than a second."""

import fractions
import struct

import av
import numpy as np

from data_pipelines.media import images, writer
from tests.fuzz import hostile_made
from tests.fuzz.hostile_made import (
    Made,
    a_folder,
    a_loop,
    a_pipe,
    endless,
    full,
    missing,
    nowhere,
    written,
)

_PCM, _FLOAT, _ALAW, _EXTENSIBLE = 1, 3, 6, 0xFFFE


def _wave(rng, frames, channels=1):
    """Speech-like enough: a tone that comes and goes, float64 [frames, channels] in [-1, 1]."""
    time = np.arange(frames) / 16000
    tone = np.sin(2 * np.pi * 200 * time) * np.abs(np.sin(2 * np.pi * 3 * time))
    noise = rng.uniform(-0.01, 0.01, (frames, channels))
    return 0.5 * tone[:, None] + noise


def _steps(samples, bits):
    """As WAV has them: 8 bits are unsigned."""
    if bits in (32.0, 64.0) and isinstance(bits, float):
        return samples.astype("<f4" if bits == 32.0 else "<f8").tobytes()
    wide = np.rint(samples * (2 ** (bits - 1) - 1)).astype("<i8")
    wide += 128 if bits == 8 else 0
    return wide.view(np.uint8).reshape(-1, 8)[:, : bits // 8].tobytes()


def _chunk(kind, data, size=None):
    return (
        kind
        + struct.pack("<I", len(data) if size is None else size)
        + data
        + b"\0" * (len(data) % 2)
    )


def _format(channels, rate, bits, tag=None, block=None):
    tag = tag or (_FLOAT if isinstance(bits, float) else _PCM)
    width = channels * int(bits) // 8
    of = (tag, channels % 65536, rate % 2**32, rate * width % 2**32)
    return struct.pack("<HHIIHH", *of, (width if block is None else block) % 65536, int(bits))


def _riff(*chunks, size=None, mark=b"RIFF"):
    body = b"WAVE" + b"".join(chunks)
    return mark + struct.pack("<I", len(body) if size is None else size) + body


def _wav(samples, rate, bits=16):
    form = _format(samples.shape[1], rate, bits)
    return _riff(_chunk(b"fmt ", form), _chunk(b"data", _steps(samples, bits)))


def _write(folder, data, ending, good, what, seconds=None):
    return written(folder / f"sound.{ending}", data, good, what, seconds=seconds)


def whole(rng, folder):
    """Bits, channels, rates and lengths that a WAV may have."""
    bits = (8, 16, 24, 32, 32.0, 64.0)[rng.integers(6)]
    channels = (1, 1, 2, 3, 5, 8)[rng.integers(6)]
    rate = (4000, 7999, 8000, 11025, 16000, 22050, 44100, 48001, 50000, 96000, 384000)[
        rng.integers(11)
    ]
    frames = int((1, 2, rate // 25, rate // 2, rng.integers(1, rate))[rng.integers(5)])
    samples = _wave(rng, frames, channels)
    if rng.random() < 0.2:
        samples = np.sign(samples) if rng.random() < 0.5 else 0 * samples
    data, seconds = _wav(samples, rate, bits), fractions.Fraction(frames, rate)
    return _write(folder, data, "wav", True, f"whole {bits} {channels} {rate} {frames}", seconds)


def odd_numbers(rng, folder):
    """Floats that are none, or far too large."""
    bits = (32.0, 64.0)[rng.integers(2)]
    odd = (np.nan, np.inf, -np.inf, 1e30, -1e38, 1e-42, 7.0)[rng.integers(7)]
    samples = _wave(rng, 8000)
    where = (slice(0, 1), slice(7999, 8000), slice(3000, 3003), slice(0, 8000))[rng.integers(4)]
    samples[where] = odd
    good = bool(np.isfinite(odd))
    data = _wav(samples, 16000, bits)
    what = f"odd_numbers {odd} {where}"
    return _write(folder, data, "wav", good, what, fractions.Fraction(1, 2))


def odd_rate(rng, folder):
    """Rates at which nobody speaks."""
    rate = (0, 1, 2, 7, 99, 500, 1_000_000, 2**30, 2**31 - 1, 2**31, 2**32 - 1)[rng.integers(11)]
    data = _wav(_wave(rng, 2000, int(rng.integers(1, 3))), rate)
    return _write(folder, data, "wav", False, f"odd_rate {rate}")


def lies(rng, folder):
    """A header that says what is not so."""
    samples = _wave(rng, 8000)
    data, form = _steps(samples, 16), _format(1, 16000, 16)
    fmt, sound = _chunk(b"fmt ", form), _chunk(b"data", data)
    huge, beside = 0xFFFFFFFF, _chunk(b"LIST", b"INFOICMT" + bytes(99))
    extensible = _format(1, 16000, 16, _EXTENSIBLE) + struct.pack("<HHI", 22, 16, 4)
    every = (
        _riff(fmt, sound, size=0),
        _riff(fmt, sound, size=huge),
        _riff(fmt, _chunk(b"data", data, 0)),
        _riff(fmt, _chunk(b"data", data, huge)),
        _riff(fmt, _chunk(b"data", data, 2**31)),
        _riff(fmt, _chunk(b"data", data, len(data) + 9)),
        _riff(fmt, _chunk(b"data", data, 7)),
        _riff(fmt, _chunk(b"data", data[:-1])),
        _riff(fmt),
        _riff(sound),
        _riff(sound, fmt),
        _riff(fmt, fmt, sound),
        _riff(beside, fmt, beside, sound, beside),
        _riff(_chunk(b"LIST", b"INFO", huge), fmt, sound),
        _riff(_chunk(b"LIST", b"INFO", 2**31 - 1), fmt, sound),
        _riff(_chunk(b"fmt ", form[:9]), sound),
        _riff(_chunk(b"fmt ", form, 2**30), sound),
        _riff(_chunk(b"fmt ", _format(0, 16000, 16)), sound),
        _riff(_chunk(b"fmt ", _format(65535, 16000, 16)), sound),
        _riff(_chunk(b"fmt ", _format(255, 16000, 16)), sound),
        _riff(_chunk(b"fmt ", _format(1, 16000, 0)), sound),
        _riff(_chunk(b"fmt ", _format(1, 16000, 17)), sound),
        _riff(_chunk(b"fmt ", _format(1, 16000, 4096)), sound),
        _riff(_chunk(b"fmt ", _format(1, 16000, 16, 0x1234)), sound),
        _riff(_chunk(b"fmt ", _format(1, 16000, 16, _ALAW)), sound),
        _riff(_chunk(b"fmt ", _format(1, 16000, 16, block=0)), sound),
        _riff(_chunk(b"fmt ", _format(1, 16000, 16, block=9999)), sound),
        _riff(_chunk(b"fmt ", extensible + bytes(16)), sound),
        _riff(_chunk(b"fmt ", extensible), sound),
        _riff(fmt, sound, mark=b"RIFX"),
        _riff(fmt, sound, mark=b"RF64"),
        _riff(
            _chunk(b"ds64", struct.pack("<QQQI", 2**62, 2**62, 2**62, 0)), fmt, sound, mark=b"RF64"
        ),
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        b"RIFF\0\0\0\0AVI ",
    )
    number = int(rng.integers(len(every)))
    return _write(folder, every[number], "wav", None, f"lies {number}")


_CODED = (  # Container, its ending, codec, format of its samples, rate.
    ("mp3", "mp3", "libmp3lame", "fltp", 44100),
    ("flac", "flac", "flac", "s16", 16000),
    ("ogg", "opus", "libopus", "flt", 48000),
    ("mp4", "m4a", "aac", "fltp", 16000),
    ("adts", "aac", "aac", "fltp", 44100),
    ("matroska", "mka", "pcm_s16le", "s16", 16000),
    ("aiff", "aiff", "pcm_s16be", "s16", 16000),
    ("au", "au", "pcm_mulaw", "s16", 8000),
    ("avi", "avi", "pcm_s16le", "s16", 16000),
)


def coded(rng, folder):
    """As other programs write it, whole or damaged."""
    container, ending, codec, form, rate = _CODED[rng.integers(len(_CODED))]
    path = folder / f"sound.{ending}"
    samples = _wave(rng, int(rng.integers(rate // 10, rate)))[:, 0]
    samples = samples.astype("f4") if "f" in form else np.rint(samples * 32767).astype("i2")
    odd_title = rng.random() < 0.2
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        if odd_title:
            file.metadata["title"] = "caf_QQQQ"
        for start in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], form, "mono")
            frame.sample_rate, frame.pts = rate, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    if odd_title:  # Of no encoding.
        path.write_bytes(path.read_bytes().replace(b"_QQQQ", b"\xe9 \xff\xfe\x80"))
    good, name = True, "whole"
    if rng.random() < 0.75:
        good, name = None, hostile_made.damage(path, rng)
    return Made(str(path), good, path.name, f"coded {codec} {name}")


def damaged(rng, folder):
    name, data = hostile_made.damaged(_wav(_wave(rng, 8000), 16000), rng, head=44, share=0.7)
    return _write(folder, data, "wav", None, f"damaged {name}")


def film(rng, folder):
    """A video, with sound and without, whole and damaged."""
    path, kind = folder / "sound.mp4", int(rng.integers(4))
    sound = None if kind == 0 else _wave(rng, 8000)[:, 0].astype("f4")
    pictures = np.zeros((12, 16, 12, 3), np.uint8)
    writer.write_video(path, pictures, 25, sound, 16000)
    good = (False, True, None, None)[kind]
    if kind > 1:
        hostile_made.damage(path, rng)
    return Made(str(path), good, path.name, f"film {kind}")


def no_sound(rng, folder):
    """Something else under the name of a sound."""
    every = (
        b"",
        b"a voice\n" * 500,
        rng.bytes(5000),
        bytes(5000),
        b"\xff" * 5000,
        images.encode_png(rng.integers(0, 256, (16, 12, 3), np.uint8)),
        _wav(_wave(rng, 0), 16000),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///dev/zero\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
        b"ffconcat version 1.0\nfile sound.wav\n",
        b"ffconcat version 1.0\nfile /dev/zero\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        b"<?xml version='1.0'?><MPD><Period><AdaptationSet/></Period></MPD>",
        b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk",
    )
    number = int(rng.integers(len(every)))
    ending = ("wav", "m3u8", "ffconcat", "sdp", "mpd", "mp3")[rng.integers(6)]
    return _write(folder, every[number], ending, False, f"no_sound {number} {ending}")


def special(rng, folder):
    kinds = (a_folder, a_pipe, endless, a_loop, full, nowhere, missing)
    return hostile_made.special(rng, folder / "sound.wav", kinds)


SOUNDS = {
    "whole": whole,
    "odd_numbers": odd_numbers,
    "odd_rate": odd_rate,
    "lies": lies,
    "coded": coded,
    "damaged": damaged,
    "film": film,
    "no_sound": no_sound,
    "special": special,
}


def good(rng, folder):
    """A plain one of half a second."""
    data = _wav(_wave(rng, 8000), 16000)
    return _write(folder, data, "wav", True, "good", fractions.Fraction(1, 2))


def pcm(rng):
    """Bytes for standard input -> bytes, the flags that go with them, good, seconds."""
    samples = _wave(rng, int(rng.integers(0, 9000)))
    kind = int(rng.integers(7))
    if kind == 0:
        return _steps(samples, 16), ["--format=s16le"], bool(len(samples)) or None, len(samples)
    if kind == 1:
        return _steps(samples, 16) + b"\1", ["--format=s16le"], False, None
    if kind == 2:
        samples[len(samples) // 2 :] = (np.nan, np.inf, 1e30)[rng.integers(3)]
        return _steps(samples, 32.0), ["--format=f32le"], None, None
    if kind == 3:
        return (
            _steps(samples, 32.0)[: -int(rng.integers(1, 4)) or None],
            ["--format=f32le"],
            None,
            None,
        )
    if kind == 4:
        return (
            rng.bytes(3000),
            [f"--format={('s16le', 'f32le', 'wav')[rng.integers(3)]}"],
            None,
            None,
        )
    if kind == 5:
        return b"", [], None, None
    return hostile_made.flipped(_wav(samples, 16000), rng), [], None, None
