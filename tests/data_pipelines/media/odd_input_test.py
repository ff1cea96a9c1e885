"""Any file in a folder of videos gives the right example or an understandable reason."""

import dataclasses
import os
import re
import zipfile

import av
import numpy as np
import pytest

from data_pipelines import contract
from data_pipelines.aligning import align_clip, worker_pool
from data_pipelines.aligning.cache import Cache
from data_pipelines.common.errors import BadClip
from data_pipelines.faces import landmarks
from data_pipelines.media.images import encode_png
from tests import drawn_videos

RNG = np.random.default_rng(0)


def data(content):
    """Writes these bytes."""
    return lambda path: path.write_bytes(content)


def text(path):
    path.write_text("There is no video here.\n" * 50)


def png(path):
    path.write_bytes(encode_png(drawn_videos.picture()))


def truncated(share, write):
    """The file's beginning."""

    def cut(path):
        whole = write(path).read_bytes()
        path.write_bytes(whole[: round(share * len(whole))])

    return cut


def flipped(path):
    """Bits flipped in the middle of a file, where the pictures are."""
    whole = bytearray(mpg(path, seconds=2.0).read_bytes())
    for at in range(len(whole) // 3, len(whole) // 2, 5):
        whole[at] ^= 0x55
    path.write_bytes(whole)


def mpg(path, **fields):
    """MPEG-1 and MP2, as GRID's own files."""
    kind = {"codec": "mpeg1video", "sound": "mp2", "sound_format": "s16", "sound_rate": 44100}
    return drawn_videos.write(path, container="mpeg", **kind | fields)


def written(**fields):
    """An mp4, or what else the fields say."""
    return lambda path: drawn_videos.write(path, **fields)


def mkv(**fields):
    """With sound as it is given, bit for bit."""
    return written(container="matroska", **fields)


def sound_only(path):
    with av.open(str(path), "w", format="mp4") as file:
        sound = file.add_stream("aac", rate=16000, layout="mono")
        drawn_videos.mux_sound(file, sound, drawn_videos.clicks((0.4,), 1, 16000))


def song(path):
    """Sound with a picture on its cover."""
    with av.open(str(path), "w", format="mp4") as file:
        cover = file.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 72, 96, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = file.add_stream("aac", rate=16000, layout="mono")
        frame = av.VideoFrame.from_ndarray(drawn_videos.picture(), format="rgb24")
        file.mux(cover.encode(frame.reformat(format="yuvj420p")))
        file.mux(cover.encode(None))
        drawn_videos.mux_sound(file, sound, drawn_videos.clicks((0.4,), 1, 16000))


def two_tracks(path):
    """The second track, which clicks, is the default one; the second picture is not."""
    with av.open(str(path), "w", format="matroska") as file:
        default = av.stream.Disposition.default
        videos = [file.add_stream("libx264", rate=25) for _ in range(2)]
        sounds = [file.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in range(2)]
        videos[0].disposition = sounds[1].disposition = default
        videos[1].disposition = sounds[0].disposition = av.stream.Disposition.comment
        for video in videos:
            video.height, video.width = drawn_videos.SIZE
            video.pix_fmt = "yuv420p"
        drawn_videos.mux_sound(file, sounds[0], drawn_videos.clicks((), 1, 16000), "s16")
        drawn_videos.mux_sound(file, sounds[1], drawn_videos.clicks((0.4,), 1, 16000), "s16")
        for t in range(25):
            for video, image in zip(
                videos, (drawn_videos.picture(t == 10), 0 * drawn_videos.picture()), strict=True
            ):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                file.mux(video.encode(frame))
        for video in videos:
            file.mux(video.encode(None))


def square_pixels(video):
    video.codec_context.sample_aspect_ratio = 2


def interlaced(video):
    video.codec_context.options = {"x264-params": "tff=1"}


def in_time(place, seconds=1.0, **fields):
    """Discs that move: `place` gives them for each frame."""

    def write(path):
        frames = iter(range(1000))

        def draw(lit):
            return drawn_videos.picture(
                lit, place(max(0, next(frames) - 1))
            )  # The first is for the size.

        drawn_videos.write(path, draw=draw, seconds=seconds, **fields)

    return write


def disc(x=36.0, y=48.0, radius=24.0, turn=0, bright=drawn_videos.SKIN):
    return (x, y, radius, turn, bright)


def big(height, width):
    """A picture so large, with the disc in its middle."""
    radius = min(height, width) / 3
    image = drawn_videos.picture(False, [(width / 2, height / 2, radius, 0)], (height, width))
    lit = np.where(image == drawn_videos.GROUND, drawn_videos.LIT, image).astype(np.uint8)
    return lambda is_lit: lit if is_lit else image


def turned(degrees):
    return written(
        turn=degrees, draw=lambda lit: np.rot90(drawn_videos.picture(lit), -degrees // 90).copy()
    )


def sound_samples(samples):
    """With these very samples for sound, as floats."""

    def write(path):
        with av.open(str(path), "w", format="matroska") as file:
            video = file.add_stream("libx264", rate=25)
            video.height, video.width = drawn_videos.SIZE
            video.pix_fmt = "yuv420p"
            sound = file.add_stream("pcm_f32le", rate=16000, layout="mono")
            drawn_videos.mux_sound(file, sound, samples, "flt")
            for _ in range(25):
                frame = av.VideoFrame.from_ndarray(drawn_videos.picture(), format="rgb24")
                file.mux(video.encode(frame))
            file.mux(video.encode(None))

    return write


def linked(path):
    path.symlink_to(drawn_videos.write(path.with_name("linked to.mov")))


def broken_link(path):
    path.symlink_to("nowhere")


def folder(path):
    path.mkdir()


def link_to_folder(path):
    path.symlink_to(path.parent)


def fifo(path):
    os.mkfifo(path)


NAN = np.where(np.arange(16000) == 8000, np.nan, 0.1)
JITTER = np.sort(np.delete(np.arange(30) / 30, [5, 6, 17]) + 0.004 * RNG.random(27))
JITTER[0] = 0

# What is written under the clip's name -> its frames at 25 frames/s, or the reason.
CASES = {
    "empty.mp4": (data(b""), "cannot be decoded"),
    "zeros.mp4": (data(bytes(5000)), "cannot be decoded"),
    "random.mp4": (data(RNG.bytes(20000)), "cannot be decoded"),
    "text.mp4": (text, "cannot be decoded"),
    "picture.mp4": (png, "no sound"),
    "truncated.mp4": (truncated(0.7, written()), "cannot be decoded"),  # Its index is at the end.
    "truncated.mkv": (truncated(0.6, mkv(seconds=3.0)), "breaks off after 1.. of 3.. s"),
    "truncated.mpg": (truncated(0.6, mpg), 25),  # It does not say how long it should be.
    "bits flipped.mpg": (flipped, "damaged|cannot be decoded"),
    "really an mp4.mpg": (written(container="mp4"), 25),
    "as grid.mpg": (mpg, 25),
    "mute.mp4": (written(sound=None), "no sound"),
    "sound only.mp4": (sound_only, "no video"),
    "song.m4a": (song, "no video"),
    "two tracks, two pictures.mkv": (two_tracks, 25),
    "sound shorter.mp4": (written(sound_seconds=0.6), 25),
    "sound longer.mp4": (written(sound_seconds=3.0), 25),
    "sound later.mkv": (mkv(sound="pcm_s16le", sound_format="s16", sound_start=0.2), 25),
    "silent.mp4": (sound_samples(np.zeros(16000)), "silent"),
    "not a number.mkv": (sound_samples(NAN), "no sound that can be decoded"),
    "8 kHz.mp4": (written(sound_rate=8000), 25),
    "44.1 kHz.mp4": (written(sound_rate=44100), 25),
    "96 kHz.mp4": (written(sound_rate=96000), 25),
    "8 bit.avi": (written(sound="pcm_u8", sound_format="u8"), 25),
    "24 bit.mkv": (mkv(sound="pcm_s24le", sound_format="s32"), 25),
    "stereo.mp4": (written(layout="stereo", sound_rate=48000), 25),
    "5.1.mp4": (written(layout="5.1", sound_rate=48000), 25),
    "turned 90.mp4": (turned(90), 25),
    "turned 180.mp4": (turned(180), 25),
    "turned 270.mp4": (turned(270), 25),
    "variable rate.mkv": (mkv(times=JITTER), 25),
    "12 a second.mp4": (written(fps=12), 25),
    "24 a second.mp4": (written(fps=24), 25),
    "29.97 a second.mp4": (written(fps=30000 / 1001), 25),
    "30 a second.mp4": (written(fps=30), 25),
    "50 a second.mp4": (written(fps=50), 25),
    "60 a second.mp4": (written(fps=60), 25),
    "odd sizes.mkv": (mkv(codec="ffv1", draw=big(97, 75)), 25),
    "tiny.mkv": (mkv(codec="ffv1", draw=big(8, 6)), "no face"),
    "4K portrait.mkv": (mkv(codec="mpeg4", draw=big(3840, 2160), seconds=0.12), 3),
    "oblong pixels.mp4": (
        written(edit=square_pixels, draw=lambda lit: drawn_videos.picture(lit)[:, ::2].copy()),
        25,
    ),
    "interlaced.mp4": (written(edit=interlaced), 25),
    "grey.mkv": (mkv(codec="ffv1", pix_fmt="gray"), 25),
    "10 bit.mkv": (mkv(codec="ffv1", pix_fmt="yuv420p10le"), 25),
    "leaves.mp4": (in_time(lambda t: [disc(36 - 2.0 * t)]), "leaves the picture at frame 1"),
    "two faces.mp4": (
        in_time(lambda t: [disc(22, 30, 20), disc(54, 75, 20 + 1.5 * (9 < t < 20), bright=180)]),
        25,
    ),
    "no face.mp4": (in_time(lambda t: []), "no face in 6 frames in a row, from frame 0"),
    "black.mp4": (written(draw=lambda lit: 0 * drawn_videos.picture()), "no face"),
    "late by 2.mp4": (in_time(lambda t: [disc()] if t > 1 else []), 25),
    "late by 8.mp4": (in_time(lambda t: [disc()] if t > 7 else []), "no face in 6 frames in a row"),
    "upside down.mp4": (in_time(lambda t: [disc(turn=180)]), "no face"),
    "cut.mp4": (
        in_time(lambda t: [disc(25, 30, 20) if t < 12 else disc(45, 66, 20)]),
        "the face jumps at frame 12",
    ),
    "1 frame.mp4": (written(seconds=0.04, sound_seconds=0.5, instants=(0.0,)), 1),
    "2 frames.mp4": (written(seconds=0.08, sound_seconds=0.5, instants=(0.0,)), 2),
    "10 minutes.mp4": (
        written(sound_seconds=1, seconds=600, times=[0.5 * t for t in range(1200)]),
        "longer than 30 s",
    ),
    "stands still.mkv": (mkv(times=[0, 0.04, 2]), "no new frame for 2.0 s at 0.04 s"),
    "name with ünïcode, 火 and\na new line.mp4": (written(), 25),
    "12:30 %d ?.mp4": (written(), 25),
    "link.mp4": (linked, 25),
    "broken link.mp4": (broken_link, "cannot be read .No such file"),
    "folder.mp4": (folder, "not a file"),
    "link to a folder.mp4": (link_to_folder, "not a file"),
    "pipe.mp4": (fifo, "not a file"),
    "missing.mp4": (lambda path: None, "cannot be read .No such file"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_odd_file_is_the_right_example_or_a_reason(tmp_path, name):
    write, expected = CASES[name]
    path = tmp_path / name
    write(path)
    if isinstance(expected, str):
        with pytest.raises(BadClip, match=expected):
            drawn_videos.aligned(path)
        return
    clip = drawn_videos.aligned(path)
    check(clip, expected)
    if expected == 25:  # The flash and the click of 0.4 s.
        assert np.mean(drawn_videos.lit_frames(clip)) / 25 == pytest.approx(0.4, abs=0.021)
        assert drawn_videos.heard(clip) == pytest.approx([0.4], abs=0.003)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_named(tmp_path):
    path = drawn_videos.write(tmp_path / "a.mp4")
    path.chmod(0)
    with pytest.raises(BadClip, match="cannot be read .Permission denied"):
        drawn_videos.aligned(path)


def check(clip, frames):
    """As many frames, all of the upright face in its place, and the contract's other numbers."""
    raw = align_clip.RawClip("a", "s", None, "")
    contract.check_example(align_clip.make_example(raw, clip, drawn_videos.FORM), drawn_videos.FORM)
    assert len(clip.jpegs) == frames
    # The disc's radius is half the height, so 32 of 64 pixels; the chin 0.55 of that below.
    y, x = np.mgrid[:64, :48]
    face = np.hypot(x - 23.5, y - 31.5) < 0.85 * 32
    chin = np.hypot(x - 23.5, y - 31.5 - 0.55 * 32)
    images = drawn_videos.images(clip)[np.isfinite(clip.blink)]
    assert len(images) >= 0.9 * frames
    assert images[:, face & (chin > 0.35 * 32)].min() > drawn_videos.SKIN - 40
    assert images[:, chin < 0.12 * 32].max() < 60


@pytest.mark.parametrize("damage", ["member", "archive", "none"])
def test_a_member_of_a_zip(tmp_path, damage):
    clip = drawn_videos.write(tmp_path / "a.mp4").read_bytes()
    path = tmp_path / "s1.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("s1/a.mp4", clip)
    whole = bytearray(path.read_bytes())
    if damage == "member":
        whole[len(whole) // 2] ^= 1
    path.write_bytes(whole[: len(whole) // 2] if damage == "archive" else whole)
    if damage == "none":
        check(drawn_videos.aligned(path, member="s1/a.mp4"), 25)
        with pytest.raises(BadClip, match="cannot be read .*no item"):
            drawn_videos.aligned(path, member="s1/b.mp4")
    else:
        with pytest.raises(BadClip, match="cannot be read .*(CRC|not a zip)"):
            drawn_videos.aligned(path, member="s1/a.mp4")


def test_bad_files_do_not_harm_good_clips(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(landmarks, "FaceFinder", drawn_videos.Discs)
    monkeypatch.setattr(landmarks, "model_path", lambda: None)
    (tmp_path / "raw").mkdir()
    clips = []
    for number, (name, (write, _)) in enumerate(CASES.items()):
        write(tmp_path / "raw" / name)
        raw = drawn_videos.raw_clip(tmp_path / "raw" / name)
        clips.append(dataclasses.replace(raw, id=f"s1_{number}"))
    cache = Cache(tmp_path / "cache", drawn_videos.FORM)
    bad = worker_pool.align_all(clips, cache, workers=1)
    for raw, (_, expected) in zip(clips, CASES.values(), strict=True):
        if isinstance(expected, str):
            assert re.search(expected, bad.pop(raw.id)), raw.path.name
        else:
            check(cache.load(raw), expected)
    assert not bad and "Error" not in capsys.readouterr().out
    assert cache.missing(clips) == []  # No unexpected error.
