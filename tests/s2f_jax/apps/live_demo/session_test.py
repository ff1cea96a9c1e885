"""What a visitor gets: the offline frames, in order, and theirs alone; what nobody gets."""

import hashlib
import io
import json

import av
import numpy as np
import pytest

from data_pipelines.media import images
from s2f_jax.apps.live_demo.limits import DemoLimits
from s2f_jax.provenance import marks
from tests.s2f_jax.apps.visitors import PNG, STILL, noise, pages
from tests.wav_files import wav_bytes


@pytest.fixture
def opened(animator, run_folder):
    with pages(animator, run_folder) as opened:
        yield opened


def differ(pictures, frames):
    """JPEGs against frames: by how much, in grey levels, after the same coding.

    A pixel that is rounded to another level by other sizes of chunks is up to 6 off as a JPEG.
    """
    assert len(pictures) == len(frames)
    shown = np.stack([images.decode_jpeg(picture) for picture in pictures]).astype(int)
    expected = np.stack([images.decode_jpeg(images.encode_jpeg(frame)) for frame in frames])
    return np.abs(shown - expected).max()


@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_frames_of_a_file_are_the_offline_ones(opened, animator, rate):
    sound = noise(2 * rate + 77)
    with opened()() as visitor:
        assert visitor.hear()["type"] == "welcome"
        _, crop = visitor.face(PNG)
        assert (images.decode_image(crop, "crop") == STILL).all()
        played, pictures, numbers, report, _ = visitor.spoken_file(wav_bytes(sound, rate), seed=5)
    frames = animator(STILL, sound, rate, aligned=True, seed=5)
    assert numbers == list(range(51)) and report["frames"] == 51
    assert differ(pictures, frames) <= 8
    assert np.abs(played.astype(int) - sound).max() <= 1  # Over 32768 and back by 32767.


@pytest.mark.parametrize(("rate", "played_at"), [(1000, 8000), (2999, 8000), (768_000, 96_000)])
def test_a_sound_at_any_rate_is_one_that_browsers_play(opened, rate, played_at):
    t = np.arange(rate // 2 + 3) / rate
    with opened()() as visitor:
        visitor.hear()
        visitor.face(PNG)
        sound = (9000 * np.sin(2 * np.pi * 200 * t)).astype(np.int16)
        reply = visitor.upload("sound", wav_bytes(sound, rate), seed=0)
        played = b""
        while len(played) < 2 * reply["samples"]:
            played += visitor.hear()[2]
        _, _, report, _ = visitor.result()
    assert reply["rate"] == played_at
    assert -(-reply["samples"] * 25 // played_at) <= report["frames"]
    heard = np.frombuffer(played, "<i2")[played_at // 8 : played_at // 4]
    expected = 9000 * np.sin(
        2 * np.pi * 200 * np.arange(played_at // 8, played_at // 4) / played_at
    )
    assert np.abs(heard - expected).max() < 100


@pytest.mark.parametrize("rate", [16000, 48000])
def test_so_are_those_of_a_voice_however_it_is_cut(opened, animator, rate):
    sound, rng = noise(rate), np.random.default_rng(1)
    cuts = np.sort(rng.integers(0, len(sound), 60))
    with opened()() as visitor:
        visitor.speak(*np.split(sound, cuts), rate=rate)
        visitor.say("end")
        pictures, numbers, _, _ = visitor.result()
    assert numbers == list(range(25))
    assert differ(pictures, animator(STILL, sound, rate, aligned=True)) <= 8


def test_frames_come_before_the_voice_has_ended(opened):
    with opened()() as visitor:
        visitor.speak(noise(960 + 3 * 640))
        numbers = [heard[1] for heard in (visitor.hear() for _ in range(3))]
        assert numbers == [0, 1, 2]


def test_two_visitors_at_once_get_their_own_frames_alone(opened, animator):
    visit = opened()
    faces = [STILL, STILL[::-1].copy()]
    sounds = [noise(32000, 1), noise(32000, 2)]
    with visit() as one, visit() as two:
        for visitor, face in zip((one, two), faces, strict=True):
            visitor.hear()
            visitor.face(images.encode_png(face))
            visitor.say("speak", rate=16000, seed=0)
        for start in range(0, 32000, 1600):
            for visitor, sound in zip((one, two), sounds, strict=True):
                visitor.socket.send_bytes(sound[start : start + 1600].astype("<i2").tobytes())
        for visitor, face, sound in zip((one, two), faces, sounds, strict=True):
            visitor.say("end")
            pictures, numbers, _, _ = visitor.result()
            assert numbers == list(range(50))
            assert differ(pictures, animator(face, sound, 16000, aligned=True)) <= 8


def test_the_video_has_the_frames_the_sound_and_what_made_it(opened, run_folder, tmp_path):
    sound = wav_bytes(noise(16000))
    with opened()() as visitor:
        visitor.hear()
        visitor.face(PNG, "../../me\x00.png")
        *_, report, video = visitor.spoken_file(sound, seed=9)
    (tmp_path / "talk.mp4").write_bytes(video)
    with av.open(io.BytesIO(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 25 == report["frames"]
    with av.open(io.BytesIO(video)) as container:
        heard = sum(frame.samples for frame in container.decode(audio=0))
    assert heard == pytest.approx(16000, abs=1024)
    facts = marks.read_provenance(tmp_path / "talk.mp4").facts
    expected = marks.provenance_record(run_folder, 9, {})
    assert facts["synthetic"] is True and facts["seed"] == 9 and facts["model"] == expected.model
    sums = {what: hashlib.sha256(data).hexdigest() for what, data in (("i", PNG), ("a", sound))}
    assert facts["inputs"] == {"image": {"sha256": sums["i"]}, "audio": {"sha256": sums["a"]}}


def test_of_a_voice_there_is_no_file_and_the_mark_names_none(opened, tmp_path):
    with opened()() as visitor:
        visitor.speak(noise(6400))
        visitor.say("end")
        *_, video = visitor.result()
    (tmp_path / "talk.mp4").write_bytes(video)
    assert marks.read_provenance(tmp_path / "talk.mp4").facts["inputs"].keys() == {"image"}


def test_nothing_is_kept_unless_that_was_asked_for(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for keep in (None, tmp_path / "kept"):
        if keep:
            keep.mkdir()
        with opened(keep_folder=keep)() as visitor:
            assert visitor.hear()["kept"] is bool(keep)
            visitor.face(PNG, "../escape.png")
            *_, video = visitor.spoken_file(wav_bytes(noise(3200)), name="/etc/passwd")
        files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
        assert [path.suffix for path in files] == ([".mp4", ".json", ".png"] if keep else [])
    assert files[0].read_bytes() == video and files[2].read_bytes() == PNG
    stated = marks.read_provenance(files[0])
    assert stated.unchanged and json.loads(files[1].read_text())["video"]["frames"] == 5
    assert stated.sidecar["inputs"]["image"]["file"] == "escape.png"
    assert stated.sidecar["inputs"]["audio"]["file"] == "passwd"


def test_what_is_not_wanted_stops_and_the_next_one_is_whole(opened):
    with opened()() as visitor:
        visitor.speak(noise(16000))
        visitor.say("stop")
        while not isinstance(heard := visitor.hear(), dict) or heard["type"] != "stopped":
            pass
        *_, numbers, report, _ = visitor.spoken_file(wav_bytes(noise(16000)))
        assert numbers == list(range(25)) and report["frames"] == 25


def test_the_badge_is_on_what_is_shown_and_in_the_video(opened):
    shown = {}
    for badge in (False, True):
        with opened(badge=badge)() as visitor:
            visitor.hear()
            visitor.face(PNG)
            _, pictures, *_ = visitor.spoken_file(wav_bytes(noise(3200)))
            shown[badge] = images.decode_jpeg(pictures[0]).astype(int)
    changed = np.abs(shown[True] - shown[False]).max(axis=-1) > 20
    assert changed[-4:, -4:].any() and not changed[:6].any()


@pytest.mark.parametrize(
    ("limits", "kind", "data", "expected"),
    [
        ({}, "face", b"no picture", "not a JPEG, PNG, WebP or BMP image; give"),
        ({}, "face", PNG[: len(PNG) // 2], "bad.bin breaks off in the middle; give"),
        ({}, "face", b"GIF89a" + bytes(20), "not a JPEG, PNG, WebP or BMP image; give"),
        ({"upload_mb": 1}, "face", bytes(1_000_001), "1.0 MB, more than the limit of 1 MB"),
        (
            {"megapixels": 1},
            "face",
            images.encode_png(np.zeros((1001, 1000, 3), np.uint8)),
            "has 1000x1001 pixels, more than the 1 million that are accepted; make it smaller",
        ),
        ({}, "face", b"", "is empty: choose another file"),
        ({}, "sound", b"no sound", "cannot be decoded"),
        ({}, "sound", PNG, "has no sound; give|cannot be decoded"),
        (
            {"sound_seconds": 1},
            "sound",
            wav_bytes(noise(16001)),
            "is longer than 1 s: choose a shorter",
        ),
        ({"upload_mb": 1}, "sound", bytes(2_000_000), "2.0 MB, more than the limit of 1 MB"),
    ],
)
def test_a_mistake_is_a_sentence_and_the_visit_goes_on(opened, limits, kind, data, expected):
    import re

    with opened(DemoLimits(**limits))() as visitor:
        visitor.hear()
        visitor.face(PNG)
        fields = {"seed": 0} if kind == "sound" else {}
        reply = visitor.upload(kind, data, "bad.bin", **fields)
        assert reply["type"] == "error" and reply["about"] == kind
        assert re.search(expected, reply["text"]), reply
        *_, report, _ = visitor.spoken_file(wav_bytes(noise(8000)))
        assert report["frames"] == 13


@pytest.mark.parametrize(
    "playlist", ["#EXTM3U\n#EXTINF:1,\n{}\n", "ffconcat version 1.0\nfile {}\n"]
)
def test_a_list_of_other_files_is_no_sound(opened, tmp_path, playlist):
    (tmp_path / "private.wav").write_bytes(wav_bytes(noise(8000)))
    with opened()() as visitor:
        visitor.hear()
        visitor.face(PNG)
        reply = visitor.upload("sound", playlist.format(tmp_path / "private.wav").encode(), seed=0)
        assert reply["type"] == "error" and "cannot be decoded" in reply["text"]


def test_a_voice_beyond_the_limit_is_cut_there(opened):
    with opened(DemoLimits(sound_seconds=1))() as visitor:
        visitor.speak(*np.split(noise(32000), 8))
        *_, numbers, report, _ = visitor.result()
        assert numbers == list(range(25)) and report["sound_s"] == 1


def test_nothing_spoken_is_told(opened):
    with opened()() as visitor:
        visitor.speak()
        visitor.say("end")
        assert "No audio was recorded" in visitor.hear_of("error")["text"]


def test_a_full_house_says_so_until_somebody_leaves(opened):
    visit = opened(DemoLimits(sessions=2))
    with visit() as one:
        one.hear()
        with visit() as two:
            two.hear()
            with visit() as three:
                assert three.hear() == {
                    "type": "full",
                    "text": "All 2 places are taken. This page connects as soon as one is free.",
                }
                assert three.hear() == {"type": "closed", "code": 1013}
            two.face(PNG)  # The others notice nothing.
        with visit() as three:
            assert three.hear()["type"] == "welcome"


def test_who_says_nothing_leaves_the_place(opened):
    visit = opened(DemoLimits(idle_seconds=1, sessions=1))
    with visit() as visitor:
        visitor.hear()
        assert "You were inactive for 1 s" in visitor.hear_of("bye")["text"]
        assert visitor.hear() == {"type": "closed", "code": 1000}
    with visit() as visitor:
        assert visitor.hear()["type"] == "welcome"


def test_who_leaves_in_the_middle_leaves_nothing_behind(opened):
    visit = opened(DemoLimits(sessions=1))
    for _ in range(3):
        with visit() as visitor:
            visitor.speak(noise(16000))
    with visit() as visitor:
        visitor.hear()
        visitor.face(PNG)
        *_, report, _ = visitor.spoken_file(wav_bytes(noise(16000)))
        assert report["frames"] == 25
