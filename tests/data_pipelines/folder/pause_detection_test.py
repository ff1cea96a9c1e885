import json
import pathlib

import av
import numpy as np
import pytest
from etils import epath

from data_pipelines.common.errors import BadClip
from data_pipelines.folder import pause_detection, retained
from data_pipelines.folder.pause_detection import CutLimits, VideoCuts
from data_pipelines.folder.sources import Cut, SourceVideo
from data_pipelines.media import writer

LIMITS = CutLimits(fps=25, min_seconds=1, max_seconds=4)
RATE = 16000


def tone(*pieces, hertz=1000):
    """(Amplitude, seconds), ... -> samples."""
    loud = np.concatenate([np.full(round(s * RATE), amplitude) for amplitude, s in pieces])
    return (loud * np.sin(2 * np.pi * hertz * np.arange(len(loud)) / RATE)).astype(np.float32)


def write(path, samples, seconds=None):
    """A grey video of that sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = round((len(samples) / RATE if seconds is None else seconds) * 25)
    frames = np.full((count, 16, 16, 3), 90, np.uint8)
    writer.write_video(path, frames, 25, samples if len(samples) else None, RATE)
    return path


TALK = tone((0, 2), (0.5, 2), (0, 1.5), (0.5, 1), (0, 0.4), (0.5, 1.2), (0, 1.9))  # 10 s.


def test_levels_are_those_of_a_tone_and_of_silence(tmp_path):
    levels = pause_detection.speech_levels(write(tmp_path / "a.mp4", TALK), 25)
    assert len(levels) == 250
    power = 10 * np.log10(0.5**2 / 2)  # Of a tone of 1 kHz and amplitude 0.5.
    np.testing.assert_allclose(levels[55:95], power, atol=0.6)
    assert levels[:48].max() < -60 and levels[105:135].max() < -60
    hum = pause_detection.speech_levels(write(tmp_path / "b.mp4", tone((0.5, 2), hertz=100)), 25)
    np.testing.assert_allclose(hum[10:40], power - 20, atol=0.6)  # 6 dB an octave.


def test_sound_is_placed_by_its_times_after_the_first_frame(tmp_path):
    """MPEG-TS starts at 1.4 s; here the sound starts 0.5 s before the picture, with a gap."""
    path = tmp_path / "a.ts"
    with av.open(str(path), "w", format="mpegts") as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("mp2", rate=48000, layout="mono")
        loud = (9000 * np.sin(np.arange(1152) / 8)).astype(np.int16)[None]
        for k in range(250):  # 24 ms each.
            if 100 <= k < 150:
                continue  # From 2.4 to 3.6 s.
            frame = av.AudioFrame.from_ndarray(loud, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48000, 1152 * k
            container.mux(sound.encode(frame))
        for t in range(100):
            pixels = np.full((32, 32, 3), t, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = t + 12, 1 / video.codec_context.framerate
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    levels = pause_detection.speech_levels(path, 25)
    assert len(levels) == 100
    quiet = np.flatnonzero(levels < -50)
    assert abs(quiet[0] - 25 * (2.4 - 0.48)) <= 2 and abs(quiet[-1] - 25 * (3.6 - 0.48)) <= 2
    assert len(quiet) >= 26


def test_a_long_video_is_cut_and_a_short_one_is_not(tmp_path):
    found = pause_detection.find_cuts(write(tmp_path / "a.mp4", TALK), LIMITS)
    first, second = found.cuts
    assert (first.start, first.end) == pytest.approx((1.68, 4.32), abs=0.05)
    assert (second.start, second.end) == pytest.approx((5.18, 8.42), abs=0.05)
    assert pause_detection.find_cuts(
        write(tmp_path / "b.mp4", TALK[: 4 * RATE]), LIMITS
    ) == VideoCuts((Cut(),))


def test_a_video_that_cannot_be_cut_gives_the_reason(tmp_path):
    silent = write(tmp_path / "silent.mp4", np.zeros(10 * RATE, np.float32))
    assert pause_detection.find_cuts(silent, LIMITS).unusable == "no speech in it"
    mute = write(tmp_path / "mute.mp4", np.zeros(0, np.float32), 10)
    assert pause_detection.find_cuts(mute, LIMITS).unusable == "no sound"
    (tmp_path / "notes.mp4").write_text("no video")
    assert "cannot be decoded" in pause_detection.find_cuts(tmp_path / "notes.mp4", LIMITS).unusable
    half = tmp_path / "half.mp4"
    half.write_bytes(silent.read_bytes()[:900])
    assert "cannot be decoded" in pause_detection.find_cuts(half, LIMITS).unusable
    with pytest.raises(BadClip, match="no video"):
        pause_detection.speech_levels(_sound_alone(tmp_path / "sound.mp4"), 25)


def _sound_alone(path: pathlib.Path) -> pathlib.Path:
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(TALK[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def video(path):
    return SourceVideo(path, path.stem, "anna")


def test_only_new_videos_are_analysed(tmp_path, monkeypatch, capsys):
    folder = epath.Path(tmp_path / "cuts")
    a, b = (video(write(tmp_path / f"{name}.mp4", TALK)) for name in "ab")
    (tmp_path / "c.mp4").write_text("no video")
    videos = [a, b, video(tmp_path / "c.mp4")]
    first = retained.find_cuts(videos, LIMITS, folder, workers=1)
    assert len(first["a"].cuts) == 2 and "cannot be decoded" in first["c"].unusable
    assert "analysed 3 of 3 videos" in capsys.readouterr().err
    analysed = []
    monkeypatch.setattr(
        pause_detection, "find_cuts", lambda path, limits: analysed.append(path) or VideoCuts()
    )
    assert retained.find_cuts(videos, LIMITS, folder, workers=1) == first and not analysed
    assert "3 of 3 videos were analysed before" in capsys.readouterr().out
    write(b.path, TALK[: 9 * RATE])
    retained.find_cuts(videos, LIMITS, folder, workers=1)
    assert analysed == [b.path]
    retained.find_cuts(videos, CutLimits(25, 1, 5), folder, workers=1)
    assert len(analysed) == 4
    assert all(json.loads(path.read_text()) for path in folder.iterdir())


@pytest.mark.slow
def test_processes_find_the_same_cuts(tmp_path):
    videos = [video(write(tmp_path / f"{name}.mp4", TALK)) for name in "ab"]
    found = [retained.find_cuts(videos, LIMITS, epath.Path(tmp_path / str(n)), n) for n in (1, 2)]
    assert found[0] == found[1]


def test_an_unexpected_error_stops_no_other_video_and_is_tried_again(tmp_path, monkeypatch):
    folder = epath.Path(tmp_path / "cuts")
    videos = [video(write(tmp_path / f"{name}.mp4", TALK)) for name in "ab"]
    find = pause_detection.find_cuts

    def fail(path, limits):
        return 1 / 0 if path.stem == "a" else find(path, limits)

    monkeypatch.setattr(pause_detection, "find_cuts", fail)
    found = retained.find_cuts(videos, LIMITS, folder, workers=1)
    assert found["a"].unusable == "ZeroDivisionError: division by zero" and found["b"].cuts
    monkeypatch.setattr(pause_detection, "find_cuts", find)
    assert retained.find_cuts(videos, LIMITS, folder, workers=1)["a"].cuts == found["b"].cuts
