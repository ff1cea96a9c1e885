"""A video is written frame by frame: whole or not at all, or fragmented and playable meanwhile."""

import fractions
import io
import os
import subprocess
import sys

import av
import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.media import decode
from data_pipelines.media.writer import VideoFile, VideoWriter

RNG = np.random.default_rng(0)
FPS = fractions.Fraction(25)
SOUND = RNG.uniform(-0.4, 0.4, 48000).astype(np.float32)


def pictures(count, height=32, width=48):
    """A pattern that moves, so that each differs from the one before."""
    base = np.kron(RNG.integers(0, 256, (8, 12, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
    return [np.roll(base, t, axis=1)[:height, :width] for t in range(count)]


def write(path, frames, cuts, rate=16000, fps=FPS, **options):
    """Writes frames and sound alternately, in chunks that end at `cuts`."""
    with VideoFile(path, *frames[0].shape[:2], fps, rate, **options) as video:
        for start, end in zip([0, *cuts], [*cuts, len(frames)], strict=True):
            first, last = (int(t * rate / fps) for t in (start, end))
            video.write_audio(SOUND[first:last])
            for frame in frames[start:end]:
                video.write_frame(frame)
    return path


def test_the_size_of_chunks_does_not_matter(tmp_path):
    frames = pictures(50)
    whole = write(tmp_path / "a.mp4", frames, []).read_bytes()
    for cuts in ([1, 2, 3], [25], list(range(1, 50))):
        assert write(tmp_path / "b.mp4", frames, cuts).read_bytes() == whole


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 25000, 44100, 50000])
def test_sound_is_as_long_as_the_video_at_any_rate(tmp_path, rate):
    sound = np.resize(SOUND, 2 * rate)
    with VideoFile(tmp_path / "a.mp4", 32, 48, FPS, rate) as video:
        for piece in np.array_split(sound, 7):
            video.write_audio(piece)
        for frame in pictures(52):
            video.write_frame(frame)
    clip = decode.decode_clip(tmp_path / "a.mp4")
    assert len(clip.frames) == 52
    assert len(clip.audio) / clip.audio_rate == pytest.approx(52 / 25, abs=1e-3)
    assert np.abs(clip.audio[: clip.audio_rate]).mean() > 0.1 > 0.02
    assert np.abs(clip.audio[round(2.02 * clip.audio_rate) :]).max() < 0.02  # Padded.


@pytest.mark.parametrize("fps", ["25", "30000/1001", "1", "120"])
def test_sound_and_frames_are_interleaved(tmp_path, fps):
    """A player that reads on never has one of them a second before the other."""
    rate = fractions.Fraction(fps)
    count = max(int(2 * rate), 6)
    with VideoFile(tmp_path / "a.mp4", 32, 48, rate, 16000) as video:
        video.write_audio(np.resize(SOUND, int(count * 16000 / rate)))
        for frame in pictures(count):
            video.write_frame(frame)
    latest = {"video": 0.0, "audio": 0.0}
    packets = []
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(float(rate))
        for packet in container.demux():
            if packet.dts is not None:
                packets.append(
                    (packet.pos, packet.stream.type, float(packet.dts * packet.time_base))
                )
    for _, kind, time in sorted(packets)[:-1]:
        latest[kind] = time
        # Pictures are reordered, by up to three.
        assert abs(latest["video"] - latest["audio"]) < 1 + float(3 / rate)


def test_the_index_comes_first_and_tags_are_kept(tmp_path):
    tags = {"comment": "drawn", "synopsis": '{"synthetic": true}'}
    data = write(tmp_path / "a.mp4", pictures(5), [], metadata=tags).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert tags.items() <= container.metadata.items()


def test_an_exception_leaves_the_previous_file(tmp_path):
    before = write(tmp_path / "a.mp4", pictures(5), []).read_bytes()
    for error in (KeyboardInterrupt, SystemExit, ValueError):
        with pytest.raises(error), VideoFile(tmp_path / "a.mp4", 32, 48, FPS) as video:
            video.write_frame(pictures(1)[0])
            raise error
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == before


FULL = """
import resource, sys
import numpy as np
from data_pipelines.media import writer
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
frames = np.random.default_rng(0).integers(0, 256, (50, 32, 48, 3), np.uint8)
writer.write_video(sys.argv[1], frames, 25, np.zeros(32000), 16000)
"""


@pytest.mark.parametrize("size", [0, 3000, 50_000])
def test_a_full_disk_is_a_user_error_and_leaves_nothing(tmp_path, size):
    """In a process of its own, none of whose files may grow beyond so many bytes."""
    arguments = [sys.executable, "-c", FULL, str(tmp_path / "a.mp4"), str(size)]
    run = subprocess.run(arguments, capture_output=True, text=True, env=os.environ)
    told = run.stderr.strip().splitlines()[-1]
    assert told.startswith(
        f"data_pipelines.common.errors.UserError: Cannot write {tmp_path}/a.mp4 (File "
    )
    assert list(tmp_path.iterdir()) == []


def test_a_video_larger_than_h264_supports_is_refused(tmp_path):
    with pytest.raises(UserError, match="9000x16 pixels is larger than H.264 supports"):
        VideoFile(tmp_path / "a.mp4", 16, 9000, FPS)
    assert list(tmp_path.iterdir()) == []


class Pipe:
    """Keeps what was written to it; cannot seek."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def test_a_fragmented_video_plays_while_it_is_written(tmp_path):
    pipe, frames = Pipe(), pictures(40)
    writer = VideoWriter(pipe, 32, 48, FPS, 16000, fragmented=True)
    writer.write_audio(SOUND[:2048])  # Live sound is ahead of its picture.
    for t, frame in enumerate(frames):
        writer.write_frame(frame)
        writer.write_audio(SOUND[2048 + 640 * t : 2048 + 640 * (t + 1)])
        if t == 20:
            early = pipe.data
    with av.open(io.BytesIO(early)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([t / 25 for t in range(len(times))]) and len(times) >= 18
    writer.close()
    with av.open(io.BytesIO(pipe.data)) as container:
        drawn = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(io.BytesIO(pipe.data)) as container:
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert len(drawn) == 40 and np.abs(drawn[30].astype(int) - frames[30]).mean() < 20
    assert len(heard) >= 25600
    # AAC keeps noise's envelope if not its samples: the sound is there and in its place.
    assert np.abs(heard[:25600]).mean() == pytest.approx(np.abs(SOUND[:25600]).mean(), rel=0.1)


def test_a_video_in_memory_equals_one_in_a_file(tmp_path):
    frames, memory = pictures(10), io.BytesIO()
    writer = VideoWriter(memory, 32, 48, FPS, 16000, {"title": "a"})
    writer.write_audio(SOUND[:6400])
    for frame in frames:
        writer.write_frame(frame)
    writer.close()
    path = write(tmp_path / "a.mp4", frames, [], metadata={"title": "a"})

    def packets(source):
        with av.open(source) as container:
            assert container.metadata["title"] == "a"
            return sorted((p.stream_index, p.pts or 0, bytes(p)) for p in container.demux())

    assert packets(io.BytesIO(memory.getvalue())) == packets(str(path))
