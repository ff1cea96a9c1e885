"""Sound is at its own time, whatever is missing, damaged or changes in its file."""

import contextlib

import av
import numpy as np
import pytest

from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.media import decode
from data_pipelines.media.sound_file import SoundFile
from data_pipelines.media.sound_track import SoundLosses, _Clock
from tests import beep_files
from tests.beep_files import INSTANTS

S16 = {"sample_format": "s16"}
FRAGMENTS = {"options": {"movflags": "frag_keyframe+empty_moov"}}
# Container, video and sound codec, rate; of those that tell when each packet is.
TIMED = {
    "mkv, aac": ("matroska", "libx264", "aac", 48000, {}),
    "mkv, pcm": ("matroska", "libx264", "pcm_s16le", 16000, S16),
    "mkv, flac": ("matroska", "libx264", "flac", 44100, S16),
    "webm, opus": ("webm", "libvpx", "libopus", 48000, {"sample_format": "flt"}),
    "mp4, aac": ("mp4", "libx264", "aac", 44100, {}),
    "fragmented mp4, aac": ("mp4", "libx264", "aac", 44100, FRAGMENTS),
    "mov, aac": ("mov", "libx264", "aac", 48000, {}),
    "ts, aac": ("mpegts", "libx264", "aac", 48000, {}),
    "ts, mp2": ("mpegts", "mpeg2video", "mp2", 48000, S16),
    "mpg, mp2": ("mpeg", "mpeg1video", "mp2", 44100, S16),
    "flv, mp3": ("flv", "flv", "libmp3lame", 44100, {}),
    "wmv, pcm": ("asf", "wmv2", "pcm_s16le", 44100, S16),
    "3gp, aac": ("3gp", "libx264", "aac", 16000, {}),
}
UNTIMED = {  # Whose sound is counted, so that a hole cannot be told.
    "avi, pcm": ("avi", "mpeg4", "pcm_s16le", 44100, S16),
    "mov, pcm": ("mov", "libx264", "pcm_s16le", 48000, S16),
}
HOLES = ((1.4, 2.1), (2.6, 3.3))


def video(path, case, holes=()):
    *form, fields = case
    return beep_files.write_video(path, *form, holes=holes, **fields)


def read(path):
    with contextlib.closing(SoundFile(path)) as file:
        samples = np.concatenate(list(file.chunks()))
        return samples, file.rate, file.losses


@pytest.mark.parametrize("name", [*TIMED, *UNTIMED])
def test_flashes_and_beeps_coincide(tmp_path, name):
    path = video(tmp_path / "a.bin", (TIMED | UNTIMED)[name])
    lit, origin = beep_files.flashes(path)
    sound = decode.decode_sound(path, origin)
    assert lit == pytest.approx(INSTANTS, abs=0.001)
    assert np.abs(beep_files.onsets(sound.samples, sound.rate, lit)).max() < 0.001
    assert sound.losses.filled() < 0.1 and not sound.losses.describe()
    assert -0.001 < len(read(path)[0]) / sound.rate - 6 < 0.1


@pytest.mark.parametrize("name", TIMED)
def test_holes_are_silent_and_what_follows_is_in_time(tmp_path, name):
    path = video(tmp_path / "a.bin", TIMED[name], HOLES)
    lit, origin = beep_files.flashes(path)
    sound = decode.decode_sound(path, origin)
    assert np.abs(beep_files.onsets(sound.samples, sound.rate, lit)).max() < 0.001
    assert sound.losses.filled() == pytest.approx(1.4, abs=0.15)
    for start, end in HOLES:  # Some frames on either side of MPEG-PS have the time of one.
        inside = sound.samples[round((start + 0.2) * sound.rate) : round((end - 0.2) * sound.rate)]
        assert not inside.any()


def test_holes_that_a_format_does_not_tell_are_refused(tmp_path):
    path = video(tmp_path / "a.avi", UNTIMED["avi, pcm"], HOLES)
    with pytest.raises(BadClip, match=r"1\.4 s of sound are missing, .* does not tell where"):
        decode.decode_sound(path, 0.0)


def test_holes_drawn_at_random(tmp_path):
    rng = np.random.default_rng(0)
    for number, name in enumerate([*TIMED] * 2):
        starts = np.sort(rng.uniform(0, 5.9, 3))
        holes = [(start, start + rng.uniform(0.03, 1.0)) for start in starts]
        path = video(tmp_path / f"{number}.bin", TIMED[name], holes)
        lit, origin = beep_files.flashes(path)
        sound = decode.decode_sound(path, origin)
        offsets = beep_files.onsets(sound.samples, sound.rate, lit)
        clear = [all(not a - 0.06 < t < b + 0.06 for a, b in holes) for t in INSTANTS]
        assert np.abs(offsets[clear]).max(initial=0.0) < 0.005, (name, holes)
        assert np.isfinite(offsets[clear]).all(), (name, holes)


def clock_gaps(stamps, seconds=0.02, latest=1e9):
    clock = _Clock(0.0, latest)
    return np.array([clock.gap(stamp, seconds) for stamp in stamps]), clock


def test_wavering_time_stamps_are_no_holes():
    rng = np.random.default_rng(0)
    exact = 0.02 * np.arange(500)
    for stamps in (exact, np.round(exact, 3), exact + rng.uniform(-0.006, 0.006, 500)):
        gaps, _ = clock_gaps(stamps)
        assert not gaps.any()
    gaps, _ = clock_gaps([None] * 500)
    assert not gaps.any()


def test_a_drift_is_followed():
    """A recorder's clock that is 0.1 % slow: 10 ms in 10 s."""
    gaps, clock = clock_gaps(0.02002 * np.arange(500))
    assert clock.next == pytest.approx(0.02002 * 500, abs=0.006)
    assert 0 < np.abs(gaps).max() < 0.006


def test_a_hole_of_any_packet_is_seen_at_once():
    for packet in (0.0025, 0.01, 0.02, 0.064):  # Opus has 2.5 ms and more.
        for missing in (packet, 3 * packet, 5.0):
            stamps = [0.0, packet + missing, 2 * packet + missing]
            gaps, _ = clock_gaps(stamps, packet)
            assert gaps == pytest.approx([0, missing, 0], abs=1e-9)


def test_overlaps_are_cut_and_a_clock_set_back_is_not_followed():
    gaps, clock = clock_gaps([0.0, 0.005, 0.025, 0.045])
    assert gaps == pytest.approx([0, -0.015, 0, 0], abs=1e-9) and not clock.restarts
    gaps, clock = clock_gaps([10.0, 0.0, 0.02, 0.04], latest=20)
    assert gaps == pytest.approx([10, 0, 0, 0]) and clock.restarts == 1
    gaps, clock = clock_gaps([0.0, 5000.0, 5000.02], latest=7.0)
    assert not gaps.any() and clock.restarts == 1


FORMATS = {
    "mp3": ("mp3", "libmp3lame", 24000, "fltp"),
    "aac": ("adts", "aac", 48000, "fltp"),
    "m4a": ("ipod", "aac", 44100, "fltp"),
    "mka": ("matroska", "aac", 44100, "fltp"),
    "opus": ("ogg", "libopus", 48000, "flt"),
    "flac": ("flac", "flac", 16000, "s16"),
    "ac3": ("ac3", "ac3", 48000, "fltp"),
}


def sound_of(path, name, seconds=beep_files.SECONDS):
    container, codec, rate, sample_format = FORMATS[name]
    samples = beep_files.beeps(rate, seconds)
    return beep_files.write_sound(path, container, codec, rate, samples, sample_format)


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_bytes_cost_what_they_hit(tmp_path, name):
    """8 bytes anywhere but in the header. An Ogg page has a second of sound; where time stamps only
    count frames (aac, ac3), what follows is early by the one that is lost."""
    whole = sound_of(tmp_path / "a.bin", name).read_bytes()
    intact, rate, losses = read(tmp_path / "a.bin")
    assert not losses.describe()
    rng = np.random.default_rng(len(name))
    for _ in range(4):
        damaged = bytearray(whole)
        at = int(rng.uniform(0.2, 0.9) * len(whole))
        damaged[at : at + 8] = rng.bytes(8)
        (tmp_path / "b.bin").write_bytes(damaged)
        samples, _, losses = read(tmp_path / "b.bin")
        assert len(samples) / rate + losses.short == pytest.approx(len(intact) / rate, abs=0.1)
        assert losses.lost <= 2 and losses.filled() < 1.3
        offsets = beep_files.onsets(samples, rate, INSTANTS, 0.1)
        whole_offsets = beep_files.onsets(intact, rate, INSTANTS, 0.1)
        assert np.nansum(np.abs(offsets - whole_offsets) < 0.033) >= 4


@pytest.mark.parametrize("name", ["mp3", "aac", "flac"])
@pytest.mark.parametrize("tail", [bytes(3000), b"LYRICSBEGIN" + b"la " * 60 + b"LYRICS200TAG"])
def test_what_follows_the_last_frame_is_passed_over(tmp_path, name, tail):
    path = sound_of(tmp_path / "a.bin", name)
    intact, rate, _ = read(path)
    path.write_bytes(path.read_bytes() + tail)
    samples, _, losses = read(path)
    assert len(samples) == pytest.approx(len(intact), abs=0.03 * rate)
    np.testing.assert_allclose(samples[: len(intact) - rate], intact[:-rate], atol=1e-6)
    assert losses.lost <= 1 and not losses.short


def test_joined_files_are_both(tmp_path):
    for name in ("mp3", "aac", "flac", "opus"):
        path = sound_of(tmp_path / f"a.{name}", name)
        one, rate, _ = read(path)
        id3 = b"ID3\x04\0\0\0\0\0\x7f" + bytes(127) if name == "mp3" else b""
        path.write_bytes(path.read_bytes() + id3 + path.read_bytes())
        both, _, losses = read(path)
        assert len(both) == pytest.approx(2 * len(one), abs=0.1 * rate)
        second = np.add(INSTANTS, len(one) / rate)
        assert np.abs(beep_files.onsets(both, rate, second)).max() < 0.1
        assert losses.lost + losses.restarts <= 2


@pytest.mark.parametrize("name", ["mp3", "mka", "opus", "flac"])
def test_a_file_that_breaks_off_says_so(tmp_path, name):
    path = sound_of(tmp_path / "a.bin", name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    samples, rate, losses = read(path)
    assert 3 < len(samples) / rate < 4.1
    assert losses.short == pytest.approx(6 - len(samples) / rate, abs=0.05) or losses.broken
    assert any("breaks off" in text or "it ends" in text for text in losses.describe())


def test_too_much_damage_is_refused_in_our_words(tmp_path):
    path = sound_of(tmp_path / "a.m4a", "m4a")
    with av.open(str(path)) as file:
        packets = [(p.pos, p.size) for p in file.demux(file.streams.audio[0]) if p.size]
    data = bytearray(path.read_bytes())
    for at, size in packets[::2]:
        data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"is damaged \(\d+ of its \d+ packets do not decode\)"):
        read(path)


@pytest.mark.parametrize("first", ["damaged", "empty"])
def test_the_first_track_that_decodes_is_read(tmp_path, first):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        tracks = [file.add_stream("aac", rate=16000, layout="mono") for _ in range(2)]
        for track in tracks:
            for packet in beep_files.encode_sound(track, beep_files.beeps(16000)[None]):
                bad = av.Packet(b"\x7f" * packet.size)
                bad.pts, bad.dts, bad.stream = packet.pts, packet.dts, track
                bad.time_base = packet.time_base
                if track is tracks[1]:
                    file.mux(packet)
                elif first == "damaged":
                    file.mux(bad)
    samples, rate, losses = read(path)
    assert np.abs(beep_files.onsets(samples, rate, INSTANTS)).max() < 0.07  # 64 ms of priming.
    assert losses.skipped_tracks == 1
    assert losses.describe() == ["it is its sound track 2: none before has sound"]


def test_a_rate_and_layout_that_change_are_followed(tmp_path):
    """As in a broadcast: MPEG-TS whose second half has another rate and more channels."""
    parts = []
    for number, (rate, layout) in enumerate([(48000, "mono"), (44100, "stereo")]):
        path = tmp_path / f"{number}.ts"
        with av.open(str(path), "w", format="mpegts") as file:
            track = file.add_stream("aac", rate=rate, layout=layout)
            channels = np.tile(beep_files.beeps(rate), (track.layout.nb_channels, 1))
            for packet in beep_files.encode_sound(track, channels, start=1.0 + 6.0 * number):
                file.mux(packet)
        parts.append(path.read_bytes())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    samples, rate, _ = read(tmp_path / "a.ts")
    first = beep_files.onsets(samples, rate, INSTANTS)[0]
    expected = np.concatenate([INSTANTS, np.add(INSTANTS, 6.0)]) + first
    assert rate == 48000
    assert np.abs(beep_files.onsets(samples, rate, expected, 0.2)).max() < 0.005


def test_losses_are_said_in_words():
    losses = SoundLosses(holes=[(2.0, 1.5)], packets=100, lost=1, lost_at=3.0, inverted=True)
    assert losses.describe() == [
        "1 of its 100 packets did not decode, the first at 3.00 s",
        "1.50 s are missing, first at 2.00 s, and are silent now",
        "its channels are in opposite phase, and one was inverted",
    ]
    assert not SoundLosses(holes=[(1.0, 0.05)]).describe() and not losses.unusable
    assert SoundLosses(packets=100, lost=26).unusable


def test_joined_broadcasts_are_no_clip_and_no_hole(tmp_path):
    """Their clocks start anew, in picture and sound at different times."""
    path = video(tmp_path / "a.ts", TIMED["ts, aac"])
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(BadClip, match="its clock is set anew inside the file"):
        decode.decode_sound(path, 0.0)
    samples, rate, losses = read(path)
    assert len(samples) / rate == pytest.approx(12, abs=0.2) and losses.restarts == 1


def test_a_jump_of_a_clock_is_no_silence_of_hours(tmp_path):
    parts = []
    for number, start in enumerate([2.0, 5000.0]):
        path = tmp_path / f"{number}.ts"
        with av.open(str(path), "w", format="mpegts") as file:
            track = file.add_stream("aac", rate=48000, layout="mono")
            sound = beep_files.beeps(48000)[None]
            for packet in beep_files.encode_sound(track, sound, start=start):
                file.mux(packet)
        parts.append(path.read_bytes())
    for order in (parts, parts[::-1]):
        (tmp_path / "a.ts").write_bytes(b"".join(order))
        samples, rate, losses = read(tmp_path / "a.ts")
        assert len(samples) / rate == pytest.approx(12, abs=0.2) and losses.restarts == 1


def test_sound_that_a_file_starts_late_keeps_its_length(tmp_path):
    """Whose length by the header is the time of its end, as Matroska's is."""
    path = tmp_path / "a.mka"
    with av.open(str(path), "w") as file:
        track = file.add_stream("flac", rate=16000, layout="mono")
        for packet in beep_files.encode_sound(
            track, beep_files.beeps(16000)[None], "s16", start=10.0
        ):
            file.mux(packet)
    with contextlib.closing(SoundFile(path)) as file:
        assert file.seconds == pytest.approx(6, abs=0.1)
        samples = np.concatenate(list(file.chunks()))
        assert len(samples) == pytest.approx(96000, abs=16) and not file.warnings()


def test_bare_streams_have_no_declared_length(tmp_path):
    """FFmpeg's estimate is far off where loud and quiet parts take unequal bytes."""
    sound = beep_files.beeps(48000, 20) * np.repeat([1e-3, 1], 10 * 48000)
    path = beep_files.write_sound(tmp_path / "a.aac", "adts", "aac", 48000, sound)
    assert not read(path)[2].describe()


def test_samples_of_64_bits_are_read(tmp_path):
    data = np.rint(beep_files.beeps(16000) * 2.0**62).astype("<i8").tobytes()
    form = b"\x01\0\x01\0" + (16000).to_bytes(4, "little") + (128000).to_bytes(4, "little")
    form += b"\x08\0\x40\0"
    sizes = [len(part).to_bytes(4, "little") for part in (bytes(36 + len(data)), form, data)]
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + sizes[0] + b"WAVEfmt " + sizes[1] + form + b"data" + sizes[2] + data)
    samples, rate, _ = read(path)
    np.testing.assert_allclose(samples, beep_files.beeps(16000) / 2, atol=1e-6)


def test_a_loss_in_avi_is_refused_however_small(tmp_path):
    path = video(tmp_path / "a.avi", UNTIMED["avi, pcm"], [(1.4, 1.7)])
    with pytest.raises(BadClip, match=r"0\.3 s of sound are missing"):
        decode.decode_sound(path, 0.0)
