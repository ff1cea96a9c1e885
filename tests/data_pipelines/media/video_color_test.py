"""Videos have the colours that a viewer shows: by their matrix, range, transfer and primaries."""

import os
import pathlib

import numpy as np
import pytest

from data_pipelines.common.errors import BadClip
from data_pipelines.media import decode, video, video_color
from tests import tagged_videos

INPUTS = pathlib.Path(__file__).parents[4] / "shared" / "inputs"
WEIGHTS = {  # Of red and blue in luma, by FFmpeg's number of the matrix (ITU-T H.273, table 4).
    1: (0.2126, 0.0722),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
PQ, HLG, BT2020, P3 = 16, 18, 9, 12
# Chromaticities of red, green, blue (BT.709, BT.2020, SMPTE EG 432-1), all of the white of D65.
PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
D65 = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])


def to_xyz(primaries):
    corners = np.array([(x / y, 1, (1 - x - y) / y) for x, y in PRIMARIES[primaries]]).T
    return corners * np.linalg.solve(corners, D65)


def stored(rgb, matrix, color_range, bits):
    """float [..., 3] in [0, 1] -> code values of Y, U and V (H.273, 8.3)."""
    red, blue = WEIGHTS[matrix]
    y = rgb @ (red, 1 - red - blue, blue)
    u, v = (rgb[..., 2] - y) / (2 - 2 * blue), (rgb[..., 0] - y) / (2 - 2 * red)
    scale = 2 ** (bits - 8)
    if color_range == 1:
        planes = scale * (219 * y + 16), scale * (224 * u + 128), scale * (224 * v + 128)
    else:
        planes = ((2**bits - 1) * y, *((2**bits - 1) * c + 128 * scale for c in (u, v)))
    kind = np.uint8 if bits == 8 else np.uint16
    return np.clip(np.rint(planes), 0, 2**bits - 1).astype(kind)


def shown(path, rgb, bits=10, matrix=BT2020, color_range=1, **tags):
    """Writes a picture of patches and reads it again."""
    patches = np.repeat(np.repeat(rgb, 8, 0), 8, 1)
    planes = stored(patches, matrix, color_range, bits)
    pix_fmt = "yuv444p" if bits == 8 else "yuv444p10le"
    tags |= {"colorspace": matrix, "color_range": color_range}
    tagged_videos.write(path, [planes] * 2, pix_fmt, **tags)
    with decode.open_video(path) as file:
        reader = video.VideoReader(file)
        (_, frame), *_ = reader.frames()
        return reader, reader.to_rgb(frame)[4::8, 4::8].astype(float)


@pytest.mark.parametrize("seed", range(30))
def test_matrix_and_range_are_followed(tmp_path, seed):
    rng = np.random.default_rng(seed)
    matrix = list(WEIGHTS)[seed % 5]
    bits, color_range = int(rng.choice([8, 10])), int(rng.integers(1, 3))
    rgb = rng.uniform(0, 1, (3, 5, 3))
    reader, pixels = shown(tmp_path / "a.mkv", rgb, bits, matrix, color_range)
    assert np.abs(pixels - 255 * rgb).max() <= 2.5 and not reader.conversions


def hdr(nits, transfer):
    """Display light on a screen of 1000 nits -> signal (BT.2100, tables 4 and 5)."""
    if transfer == PQ:
        power = (np.maximum(nits, 0) / 10000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    light = np.maximum(nits, 0) / 1000
    luminance = np.maximum(light @ (0.2627, 0.6780, 0.0593), 1e-9)[..., None]
    scene = light * luminance ** (1 / 1.2 - 1)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


@pytest.mark.parametrize("seed", range(30))
def test_hdr_of_an_ordinary_picture_is_that_picture(tmp_path, seed):
    """By BT.2408: SDR's white is 203 nits. Levels up to the knee stay as they are."""
    rng = np.random.default_rng(seed)
    transfer, primaries = (PQ, HLG)[seed % 2], int(rng.choice([BT2020, P3, 1]))
    primaries = BT2020 if transfer == HLG else primaries
    sdr = rng.uniform(0.3, 0.9, (3, 5, 3))  # Darker ones lose more to 10 bits.
    sdr[0, 0], sdr[0, 1] = (0.9, 0.65, 0.55), (0.45, 0.3, 0.22)  # Skin.
    light = 203 * sdr**2.4 @ (np.linalg.inv(to_xyz(primaries)) @ to_xyz(1)).T
    signal = hdr(light, transfer)
    tags = {"color_trc": transfer, "color_primaries": primaries, "color_range": 1 + seed // 2 % 2}
    reader, pixels = shown(tmp_path / "a.mkv", signal, **tags)
    assert np.abs(pixels - 255 * sdr).max() <= 4 and np.abs(pixels - 255 * sdr).mean() < 0.8
    assert reader.conversions == {f"{'PQ' if transfer == PQ else 'HLG'} shown as SDR"}


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_highlights_are_compressed_and_keep_their_order_and_hue(tmp_path, transfer):
    nits = np.geomspace(120, 1000, 24)[None, :, None] * np.array([1, 0.8, 0.6])
    signal = hdr(nits, transfer)
    tags = {"color_trc": transfer, "color_primaries": BT2020}
    _, pixels = shown(tmp_path / "a.mkv", signal, **tags)
    red = pixels[0, :, 0]
    assert (np.diff(red) >= 0).all() and red[-1] >= 253 and red[0] < 225
    ratio = pixels[0, :, 1:] / red[:, None]
    assert np.abs(ratio - ratio[0]).max() < 0.02


@pytest.mark.parametrize("primaries", [BT2020, P3])
def test_a_wide_gamut_is_that_of_ordinary_screens(tmp_path, primaries):
    rng = np.random.default_rng(primaries)
    sdr = rng.uniform(0.1, 0.95, (3, 5, 3))
    signal = np.clip(sdr**2.4 @ (np.linalg.inv(to_xyz(primaries)) @ to_xyz(1)).T, 0, 1) ** (1 / 2.4)
    reader, pixels = shown(tmp_path / "a.mkv", signal, color_primaries=primaries)
    assert np.abs(pixels - 255 * sdr).max() <= 3
    assert reader.conversions == {"wide gamut shown as BT.709"}


def test_ordinary_video_is_not_converted():
    for transfer in (1, 2, 6, 13, 14):
        for primaries in (1, 2, 5, 6):
            assert video_color.sdr_conversion(transfer, primaries, 1) is None
            assert video_color.describe(transfer, primaries) == ""


@pytest.mark.parametrize(("matrix", "name"), [(8, "YCgCo"), (14, "ICtCp")])
def test_colours_that_are_not_read_are_named(tmp_path, matrix, name):
    planes = tagged_videos.grey(np.full((2, 16, 16), 90))
    path = tagged_videos.write(tmp_path / "a.mkv", planes, colorspace=matrix, color_range=1)
    with pytest.raises(BadClip, match=f"colours stored as {name}, which is not read; convert it"):
        decode.decode_clip(path)


@pytest.mark.skipif(
    not INPUTS.is_dir() or "S2F_GRID" not in os.environ, reason="needs shared/inputs and GRID"
)
def test_the_skin_of_an_hlg_video_is_that_of_its_original():
    original = pathlib.Path(os.environ["S2F_GRID"]) / "s3" / "sbia1a.mpg"
    expected = decode.decode_clip(original).frames[0].astype(float)
    picture = decode.decode_clip(INPUTS / "hlg.mp4").frames[0].astype(float)
    face = np.s_[130:230, 140:220]
    assert np.abs((picture - expected)[face].mean((0, 1))).max() < 2
    assert np.median(np.abs(picture - expected)[face]) <= 4
