"""What is written says what it shows, and no more is claimed to be out than can be seen."""

import fractions
import io
import os

import av
import numpy as np
import pytest

from s2f_jax.render import video_sinks

RNG = np.random.default_rng(0)
FPS = fractions.Fraction(25)
COARSE = np.kron(RNG.integers(0, 256, (8, 6, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
FRAMES = [np.roll(COARSE, t, axis=0) for t in range(30)]


@pytest.fixture
def opened(tmp_path):
    """A sink to a file, and what is in the file by now."""
    path = tmp_path / "out"
    number = os.open(path, os.O_WRONLY | os.O_CREAT)
    yield (
        (
            lambda form, rate=16000: video_sinks.open_sink(
                form, video_sinks.FileDescriptor(number), (32, 24), FPS, rate, {"comment": "drawn"}
            )
        ),
        path.read_bytes,
    )
    os.close(number)


def test_raw_frames_are_their_bytes(opened):
    sink, written = opened[0]("rgb24"), opened[1]
    for t, frame in enumerate(FRAMES):
        sink.write_audio(np.zeros(640, np.float32))
        sink.write_frame(frame)
        assert sink.frames_out == t + 1 and len(written()) == (t + 1) * 32 * 24 * 3
    sink.close()
    np.testing.assert_array_equal(np.frombuffer(written(), np.uint8), np.stack(FRAMES).ravel())


def test_y4m_says_its_size_and_rate(opened):
    sink, written = opened[0]("y4m"), opened[1]
    for t, frame in enumerate(FRAMES):
        sink.write_frame(frame)
        assert sink.frames_out == t + 1
    sink.close()
    assert written().startswith(b"YUV4MPEG2 W24 H32 F25:1 ")
    with av.open(io.BytesIO(written())) as container:
        assert container.streams.video[0].average_rate == 25
        seen = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(seen) == 30 and np.abs(np.stack(seen).astype(int) - FRAMES).max() <= 4


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 50000])
def test_frames_that_are_out_of_an_mp4_can_be_decoded(opened, rate):
    sink, written = opened[0]("mp4", rate), opened[1]
    tone = np.sin(np.arange(3 * rate) / 9).astype(np.float32) / 2
    ahead = round(0.06 * rate)  # A frame's window ends after it.
    sink.write_audio(tone[:ahead])
    most = 0
    for t, frame in enumerate(FRAMES):
        sink.write_frame(frame)
        sink.write_audio(tone[ahead + t * rate // 25 : ahead + (t + 1) * rate // 25])
        most = max(most, t + 1 - sink.frames_out)
        if sink.frames_out and t % 5 == 0:
            with av.open(io.BytesIO(written())) as container:
                assert sum(1 for _ in container.decode(video=0)) >= sink.frames_out - 1
    assert most / 25 <= sink.delay + 1 / 25
    sink.close()
    assert sink.frames_out == 30
    with av.open(io.BytesIO(written())) as container:
        assert container.metadata["comment"] == "drawn"
        seen = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(seen) == 30 and np.abs(seen[20].astype(int) - FRAMES[20]).mean() < 25
    with av.open(io.BytesIO(written())) as container:
        heard = sum(f.samples / f.sample_rate for f in container.decode(audio=0))
    assert heard == pytest.approx(30 / 25, abs=0.1)


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_fragments_are_counted_however_they_are_cut(opened, cut):
    sink, written = opened[0]("mp4"), opened[1]
    for frame in FRAMES:
        sink.write_audio(np.zeros(640, np.float32))
        sink.write_frame(frame)
    sink.close()
    data, nowhere = written(), os.open(os.devnull, os.O_WRONLY)
    counter = video_sinks._FrameCounter(video_sinks.FileDescriptor(nowhere))
    for start in range(0, len(data), cut):
        counter.write(data[start : start + cut])
    os.close(nowhere)
    assert counter.frames == 30
