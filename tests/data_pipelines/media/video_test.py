import dataclasses

import av
import numpy as np
import pytest

from data_pipelines.aligning import align_clip
from data_pipelines.common.errors import BadClip
from data_pipelines.media import decode, video
from tests import drawn_videos

ENDS = (0.52, 9.52)  # Seconds: a flash and a click near each end of ten.


class Timed(video.VideoReader):
    """Frames at given times; each frame is its number."""

    def __init__(self, times, fps):
        self.times, self.fps = times, fps

    def frames(self, start=0.0):
        yield from ((time, number) for number, time in enumerate(self.times))


def resample_times(times, fps, new_fps, start=0.0, end=None):
    return list(Timed(times, fps).at_rate(new_fps, start, end))


def ticks(count, fps):
    return [k / fps for k in range(count)]


@pytest.mark.parametrize(
    ("times", "fps", "new_fps", "expected"),
    [
        (ticks(75, 25), 25, 25, list(range(75))),
        (ticks(750, 24.999), 24.999, 25, list(range(750))),  # Rounding, in the file.
        (ticks(6, 50), 50, 25, [0, 2, 4]),
        (ticks(3, 25), 25, 50, [0, 0, 1, 1, 2, 2]),
        (ticks(5, 30), 30, 25, [0, 1, 2, 4]),  # 0, 33, 67, 100, 133 ms for 0, 40, 80, 120.
        ([0, 0.01, 0.05, 0.14], 25, 25, [0, 2, 2, 3, 3]),  # For 0, 40, 80, 120, 160 ms.
        ([0], 60, 25, [0]),
    ],
)
def test_each_time_has_the_nearest_frame(times, fps, new_fps, expected):
    assert resample_times(times, fps, new_fps) == expected


def test_a_part_begins_and_ends_between_frames():
    assert resample_times(ticks(30, 25), 25, 25, 0.41, 0.61) == [10, 11, 12, 13, 14]
    assert resample_times(ticks(30, 25), 25, 25, 1.0, 9.0) == [25, 26, 27, 28, 29]
    with pytest.raises(BadClip, match="no frames after 2 s"):
        resample_times(ticks(30, 25), 25, 25, 2.0, 9.0)


def test_a_frame_that_lasts_too_long_is_refused():
    with pytest.raises(BadClip, match="no new frame for 1.5 s at 0.04 s"):
        resample_times([0, 0.04, 1.54], 25, 25)


def test_frames_without_times_follow_at_the_frame_rate(tmp_path):
    path = drawn_videos.write(tmp_path / "bare.h264", sound=None, container="h264")
    with av.open(str(path)) as file:
        times = [time for time, _ in video.VideoReader(file).frames()]
    np.testing.assert_allclose(times, ticks(25, 25), atol=1e-6)


VARIABLE = np.cumsum(np.random.default_rng(1).uniform(0.008, 0.05, 400))
VARIABLE = VARIABLE[VARIABLE < 10] - VARIABLE[0]


RATES = {
    "25": ticks(250, 25),
    "29.97": ticks(300, 30000 / 1001),
    "50": ticks(500, 50),
    "variable": list(VARIABLE),
}


@pytest.mark.parametrize("offset", [0, 0.3])
@pytest.mark.parametrize("rate", RATES)
def test_sound_and_frames_stay_synchronous(tmp_path, rate, offset):
    """At both ends of 10 s, to half a frame; `offset`: the sound's stream starts later."""
    path = drawn_videos.write(
        tmp_path / "a.mkv", times=RATES[rate], fps=30, seconds=10, instants=ENDS, sound_start=offset
    )
    clip = drawn_videos.aligned(path)
    lit, heard = drawn_videos.lit_frames(clip), drawn_videos.heard(clip)
    assert heard == pytest.approx(ENDS, abs=0.003)
    for instant in ENDS:
        near = lit[np.abs(lit / 25 - instant) < 0.2]
        assert near.mean() / 25 == pytest.approx(instant, abs=0.02)


MP2 = {"sound": "mp2", "sound_format": "s16", "sound_rate": 44100}
WAVERING = np.arange(1500) / 25 + 0.004 * np.sin(np.arange(1500)) + 0.04
LONG = {
    "mp4": {},
    "mkv": {"times": list(WAVERING)},
    "mpg": {"codec": "mpeg1video", "container": "mpeg", **MP2},
    "ts": {"container": "mpegts", **MP2},
}


@pytest.mark.parametrize("suffix", LONG)
def test_a_part_of_a_long_video_is_decoded_alone(tmp_path, suffix, monkeypatch):
    """Exact to the frame and the sample, from 41.03 s to 44.03 s of a minute."""
    fields = LONG[suffix]
    instants = (10.04, 42.04, 43.52, 50.0)
    path = drawn_videos.write(tmp_path / f"long.{suffix}", seconds=60, instants=instants, **fields)
    expected = np.array([1.01, 2.49])
    if "times" in fields:
        expected -= fields["times"][0]  # 41.03 s from its first frame.
    decoded = []
    frames = video.VideoReader.frames

    def counted(self, start=0.0):
        for frame in frames(self, start):
            decoded.append(frame)
            yield frame

    monkeypatch.setattr(video.VideoReader, "frames", counted)
    clip = drawn_videos.aligned(path, start=41.03, end=44.03)
    assert len(clip.jpegs) == 75 and len(clip.audio) == 48000
    assert drawn_videos.heard(clip) == pytest.approx(expected, abs=0.003)
    lit = drawn_videos.lit_frames(clip)
    assert lit[lit < 40].mean() / 25 == pytest.approx(expected[0], abs=0.02)
    assert lit[lit > 40].mean() / 25 == pytest.approx(expected[1], abs=0.02)
    assert len(decoded) < 75 + 15 * 25


def test_concatenated_parts_are_the_whole(tmp_path):
    sound = {"sound": "pcm_s16le", "sound_format": "s16"}  # A part of AAC has its own noise.
    path = drawn_videos.write(
        tmp_path / "a.mkv", seconds=6.0, instants=(1.0, 2.04, 3.4, 5.0), **sound
    )
    whole = drawn_videos.aligned(path)
    parts = [drawn_videos.aligned(path, start=t, end=t + 2.0) for t in (0.0, 2.0, 4.0)]
    images = np.concatenate([drawn_videos.images(part) for part in parts])
    assert np.abs(images - drawn_videos.images(whole)).mean(axis=(1, 2)).max() < 1
    np.testing.assert_array_equal(np.concatenate([part.audio for part in parts]), whole.audio)


def test_a_clip_that_is_too_long_is_refused_before_its_end(tmp_path, monkeypatch):
    config = dataclasses.replace(drawn_videos.FORM, max_seconds=2.0)
    path = drawn_videos.write(tmp_path / "long.mp4", seconds=20.0)
    searched = []

    def detect(image):
        searched.append(image)
        return drawn_videos.Discs()(image)

    with pytest.raises(BadClip, match="longer than 2 s: cut it, or raise config.data.max_seconds"):
        align_clip.align_clip(drawn_videos.raw_clip(path), config, detect)
    assert not searched  # By the header alone.
    monkeypatch.setattr(
        video.VideoReader, "seconds", property(lambda self: 0.0, lambda *_: None), False
    )
    with pytest.raises(BadClip, match="longer than 2 s"):
        align_clip.align_clip(drawn_videos.raw_clip(path), config, detect)
    assert len(searched) == 50
    kept = align_clip.align_clip(drawn_videos.raw_clip(path, start=3.0, end=5.0), config, detect)
    assert len(kept.jpegs) == 50


def test_the_shorter_side_is_bounded_and_pixels_become_square(tmp_path):
    path = drawn_videos.write(
        tmp_path / "a.mp4",
        sound=None,
        seconds=0.04,
        edit=lambda stream: setattr(stream.codec_context, "sample_aspect_ratio", 2),
    )
    with decode.open_video(path) as file:
        reader = video.VideoReader(file)
        (_, frame), *_ = reader.frames()
        assert reader.to_rgb(frame).shape == (96, 144, 3)
        assert reader.to_rgb(frame, max_side=48).shape == (48, 72, 3)
