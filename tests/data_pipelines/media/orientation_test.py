"""Videos are upright, as their display matrices say, mirrored ones among them."""

import gc
import pathlib

import av
import numpy as np
import pytest

from data_pipelines.media import decode, orientation, video
from tests import drawn_videos, tagged_videos

INPUTS = pathlib.Path(__file__).parents[4] / "shared" / "inputs"
EIGHT = [
    *((1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1)),
    *((0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0), (0, -1, -1, 0)),
]


def stored(upright, matrix):
    """By ISO 14496-12: the stored pixel (p, q) is shown at (a p + c q, b p + d q)."""
    a, b, c, d = matrix
    height, width = upright.shape[:2]
    size = (height, width) if a else (width, height)
    q, p = np.indices(size)
    x, y = a * p + c * q, b * p + d * q
    return upright[y - y.min(), x - x.min()]


@pytest.mark.parametrize("seed", range(30))
def test_a_video_drawn_at_random_is_upright(tmp_path, seed):
    rng = np.random.default_rng(seed)
    matrix = EIGHT[seed % 8]
    height, width = 2 * rng.integers(9, 40, 2)
    upright = rng.integers(16, 236, (height, width)).astype(np.uint8)
    planes = tagged_videos.grey([stored(upright, matrix)] * 2)
    options = {"options": {"qp": "0"}, "color_range": 2}
    path = tagged_videos.write(tmp_path / "a.mp4", planes, codec="libx264", **options)
    tagged_videos.set_matrix(path, matrix)
    frames = decode.decode_clip(path).frames
    assert frames.shape == (2, height, width, 3)
    assert np.abs(frames[0].astype(int) - upright[..., None]).max() <= 1
    half = rng.integers(5, min(height, width))
    with decode.open_video(path) as file:
        reader = video.VideoReader(file)
        (_, frame), *_ = reader.frames()
        small = reader.to_rgb(frame, max_side=half)
    assert min(small.shape[:2]) == half and (small.shape[0] < small.shape[1]) == (height < width)
    words = {EIGHT[0]: set()}.get(matrix, {"turned upright" if np.linalg.det(
        np.reshape(matrix, (2, 2))) > 0 else "mirrored"})  # fmt: skip
    assert reader.conversions == words


@pytest.mark.parametrize("matrix", EIGHT)
def test_a_face_is_upright_in_the_shards(tmp_path, matrix):
    path = drawn_videos.write(
        tmp_path / "a.mp4", draw=lambda lit: stored(drawn_videos.picture(lit), matrix).copy()
    )
    tagged_videos.set_matrix(path, matrix)
    clip = drawn_videos.aligned(path)  # Its finder finds no face that is upside down or lies.
    assert len(clip.jpegs) == 25
    assert np.mean(drawn_videos.lit_frames(clip)) / 25 == pytest.approx(0.4, abs=0.021)


def test_other_angles_and_scales_are_the_nearest_of_the_eight():
    for a, b, c, d in EIGHT:
        exact = orientation.from_display_matrix([a, b, 0, c, d, 0, 0, 0, 1])
        turn = np.radians(20)
        cos, sin = np.cos(turn), np.sin(turn)
        near = np.array([[a, b], [c, d]]) @ [[cos, sin], [-sin, cos]] * 65536
        flat = [near[0, 0], near[0, 1], 0, near[1, 0], near[1, 1], 0, 500, -7, 1 << 30]
        assert orientation.from_display_matrix(flat) == exact


def test_every_orientation_is_undone():
    pixels = np.arange(24).reshape(2, 4, 3)
    kinds = orientation.EXIF.values()
    assert len({kind.upright(pixels).tobytes() + bytes(kind.transposed) for kind in kinds}) == 8
    for kind in kinds:
        np.testing.assert_array_equal(kind.upright(kind.stored(pixels)), pixels)
    mirrored = [number for number, kind in orientation.EXIF.items() if kind.is_mirrored]
    assert mirrored == [2, 4, 5, 7]  # EXIF 2.3, 4.6.4.


@pytest.mark.skipif(not INPUTS.is_dir(), reason="needs shared/inputs beside it")
def test_a_selfie_camera_s_video_is_mirrored():
    path = INPUTS / "matrix_hflip.mp4"
    shown = decode.decode_clip(path).frames[0].astype(int)
    with decode.open_video(path) as file:
        frame = next(file.decode(file.streams.video[0])).to_ndarray(format="rgb24")
    assert np.abs(shown - frame[:, ::-1]).max() == 0 and np.abs(shown - frame).mean() > 3


def test_frames_are_freed_without_the_garbage_collector(tmp_path):
    """PyAV's frames refer to themselves once their side data was read."""
    path = drawn_videos.write(tmp_path / "a.mp4", seconds=4.0, sound=None)
    gc.collect()
    before = frames_in_memory()
    gc.disable()
    try:
        clip = decode.decode_clip(path)
        left = frames_in_memory() - before
    finally:
        gc.enable()
    assert len(clip.frames) == 100 and left <= 3


def frames_in_memory():
    return sum(type(each) is av.VideoFrame for each in gc.get_objects())  # Torch has lazy proxies.
