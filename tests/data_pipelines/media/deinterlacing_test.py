"""Interlaced video becomes whole pictures, of their first field's moment, at the same times."""

import numpy as np
import pytest

from data_pipelines.media import decode, video
from tests import tagged_videos

HEIGHT, WIDTH, COUNT = 96, 128, 30


def scene(seconds, speed):
    """A bright bar on a dark ground, `speed` pixels a second to the right."""
    picture = np.full((HEIGHT, WIDTH), 50, np.uint8)
    begin = 8 + round(speed * seconds)
    picture[:, begin : begin + 12] = 210
    return picture


def interlaced(path, field, speed, codec, **options):
    """The second field is of half a frame later."""
    pictures = []
    for number in range(COUNT):
        first, second = (scene((number + late) / tagged_videos.RATE, speed) for late in (0, 0.5))
        rows = np.arange(HEIGHT)[:, None] % 2 == (field == "bff")
        pictures.append(np.where(rows, first, second))
    return tagged_videos.write(
        path, tagged_videos.grey(pictures), "yuv420p", codec, field, **options
    )


def combed(picture):
    """Mean difference of a row from its neighbours."""
    rows = picture.astype(float)
    return np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean()


def read(path, start=0.0):
    with decode.open_video(path) as file:
        reader = video.VideoReader(file)
        pairs = [(time, reader.to_rgb(frame)[..., 1]) for time, frame in reader.frames(start)]
    return reader, [time for time, _ in pairs], [picture for _, picture in pairs]


X264 = {"codec": "libx264", "options": {"x264-params": "tff=1", "crf": "5"}}
MPEG2 = {"codec": "mpeg2video", "options": {"flags": "+ilme+ildct"}, "bit_rate": 4_000_000}
KINDS = [("mp4", X264), ("mkv", X264), ("ts", X264), ("ts", MPEG2), ("mkv", MPEG2)]


@pytest.mark.parametrize("field", ["tff", "bff"])
@pytest.mark.parametrize(("suffix", "codec"), KINDS)
def test_a_frame_is_the_picture_of_its_first_field(tmp_path, suffix, codec, field):
    speed = float(np.random.default_rng(len(suffix)).integers(40, 80))
    path = interlaced(tmp_path / f"a.{suffix}", field, speed, **codec)
    reader, times, pictures = read(path)
    assert len(pictures) == COUNT == reader.frame_count
    assert reader.conversions == {"deinterlaced by bwdif"}
    np.testing.assert_allclose(times, np.arange(COUNT) / tagged_videos.RATE, atol=1e-3)
    with decode.open_video(path) as file:
        raw = [frame.to_ndarray(format="gray") for frame in file.decode(file.streams.video[0])]
    assert combed(raw[10]) > 1 > 10 * combed(pictures[10])
    for number, picture in enumerate(pictures[1:], 1):
        first, second = (scene((number + late) / tagged_videos.RATE, speed) for late in (0, 0.5))
        levels = (np.array([first, second], float) - 16) * 255 / 219
        error, wrong = np.abs(picture - levels).mean((1, 2))
        assert error < 2 and (wrong > error or (first == second).all())


def test_a_part_has_the_frames_of_the_whole(tmp_path):
    path = interlaced(tmp_path / "a.mkv", "tff", 60.0, **X264)
    _, times, pictures = read(path)
    _, part_times, part = read(path, start=0.6)
    for time, picture in zip(part_times, part, strict=True):
        if time >= 0.6:
            near = int(np.argmin(np.abs(np.array(times) - time)))
            assert times[near] == pytest.approx(time, abs=1e-3)
            assert np.abs(picture.astype(int) - pictures[near]).mean() < 1
    assert part_times[-1] == pytest.approx(times[-1], abs=1e-3)


def test_progressive_frames_are_not_touched(tmp_path):
    moving = [scene(k / tagged_videos.RATE, 60.0) for k in range(5)]
    path = tagged_videos.write(tmp_path / "a.mkv", tagged_videos.grey(moving), color_range=2)
    reader, _, pictures = read(path)
    np.testing.assert_array_equal(pictures, moving)
    assert not reader.conversions
