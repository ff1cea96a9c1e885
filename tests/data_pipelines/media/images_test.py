"""Pictures come out as their files mean them: upright, in sRGB, on white, whatever follows them."""

import io
import os
import pathlib
import struct
import subprocess
import sys
import threading
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, features

from data_pipelines.common.errors import UserError
from data_pipelines.media import images
from tests import icc_profiles

INPUTS = pathlib.Path(__file__).parents[4] / "shared" / "inputs"
needs_inputs = pytest.mark.skipif(not INPUTS.is_dir(), reason="needs shared/inputs beside it")

# EXIF 2.3, 4.6.4: the sides of the upright picture on which row 0 and column 0 are stored.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def stored(upright, orientation):
    rows, columns = SIDES[orientation]
    pixels = upright if rows in ("top", "bottom") else upright.swapaxes(0, 1)
    pixels = pixels[::-1] if rows in ("bottom", "right") else pixels
    return np.ascontiguousarray(pixels[:, ::-1] if columns in ("bottom", "right") else pixels)


def drawn(rng, channels=3):
    """Smooth, so that JPEG keeps it, and no two of its orientations alike."""
    height, width = rng.integers(17, 90, 2)
    coarse = rng.integers(0, 256, (4, 3, channels)).astype(np.uint8)
    return np.atleast_3d(cv2.resize(coarse, (int(width), int(height))))


def saved(pixels, kind, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    encoded = io.BytesIO()
    image.save(encoded, kind, **options)
    return encoded.getvalue()


def on_white(rgba):
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


def decoded(data):
    return images.decode_image(data, "picture").astype(float)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


LOSSLESS = {
    "PNG": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True, "exact": True},
}


@pytest.mark.parametrize("seed", range(30))
def test_a_picture_drawn_at_random_is_upright_and_on_white(seed):
    """Each of the eight in each format, with alpha where it has any."""
    rng = np.random.default_rng(seed)
    orientation, kind = 1 + seed % 8, ("JPEG", "PNG", "TIFF", "WEBP")[int(rng.integers(4))]
    channels = 3 if kind == "JPEG" else int(rng.integers(3, 5))
    upright = drawn(rng, channels)
    options = LOSSLESS.get(kind, {"quality": 98, "subsampling": 0})
    data = saved(stored(upright, orientation), kind, exif=exif(orientation), **options)
    expected = on_white(upright) if channels == 4 else upright
    picture = decoded(data)
    assert picture.shape == expected.shape
    assert np.abs(picture - expected).max() <= (6 if kind == "JPEG" else 0.51)


@pytest.mark.parametrize("seed", range(30))
def test_a_colour_profile_is_followed(seed):
    """To 2 levels of what the profile's own numbers mean, with alpha or EXIF beside it or not."""
    rng = np.random.default_rng(seed)
    name = sorted(icc_profiles.RGB_SPACES)[seed % 3]
    kind = ("PNG", "TIFF", "WEBP", "JPEG")[int(rng.integers(4))]
    channels = 3 if kind == "JPEG" else int(rng.integers(3, 5))
    orientation = int(rng.integers(1, 9))
    upright = drawn(rng, channels)
    expected = icc_profiles.srgb_of_rgb(name, upright[..., :3].astype(float))
    if channels == 4:
        expected = on_white(np.dstack([expected, upright[..., 3]]))
    options = LOSSLESS.get(kind, {"quality": 100, "subsampling": 0})
    options = options | {"exif": exif(orientation), "icc_profile": icc_profiles.rgb_profile(name)}
    data = saved(stored(upright, orientation), kind, **options)
    error = np.abs(decoded(data) - expected)
    assert error.max() <= (40 if kind == "JPEG" else 2) and error.mean() < 1.5
    plain = saved(stored(upright, orientation), kind, **options | {"icc_profile": None})
    assert np.abs(decoded(plain) - expected).max() > 8  # The profile changes the picture.


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_an_avif_is_upright_and_has_its_colours():
    upright = drawn(np.random.default_rng(10), 4)
    options = {"quality": 100, "subsampling": "4:4:4"}
    options |= {"exif": exif(6), "icc_profile": icc_profiles.rgb_profile("Display P3")}
    colors = icc_profiles.srgb_of_rgb("Display P3", upright[..., :3].astype(float))
    expected = on_white(np.dstack([colors, upright[..., 3]]))
    assert np.abs(decoded(saved(stored(upright, 6), "AVIF", **options)) - expected).mean() < 2


def test_grey_and_cmyk_profiles_are_followed():
    levels = np.arange(0, 256, 5, np.uint8)[None].repeat(3, 0)
    profile = icc_profiles.grey_profile(1.5)
    expected = icc_profiles.srgb_of_grey(1.5, levels)
    assert np.abs(expected - levels[..., None]).max() > 20
    grey = decoded(saved(levels, "PNG", icc_profile=profile))
    assert np.abs(grey - expected).max() <= 2
    half = np.dstack([levels, np.full_like(levels, 51)])
    alpha = decoded(saved(half, "PNG", icc_profile=profile))
    assert np.abs(alpha - (0.2 * expected + 0.8 * 255)).max() <= 1
    rng = np.random.default_rng(0)
    lab = np.stack([rng.uniform(20, 80, [2] * 4), *rng.uniform(-25, 25, (2, 2, 2, 2, 2))], -1)
    lab[..., 1, :], lab[0, 0, 0, 0] = 0, (100, 0, 0)  # Black ink is black, and the paper white.
    inks = np.array(
        [[(255 * c, 255 * m, 255 * y, 255 * k) for c, m, y, k in np.ndindex(2, 2, 2, 2)]]
    )
    image = Image.frombytes("CMYK", (16, 1), inks.astype(np.uint8).tobytes())
    data = saved(image, "TIFF", icc_profile=icc_profiles.cmyk_profile(lab))
    assert np.abs(decoded(data) - icc_profiles.srgb_of_lab(lab).reshape(1, 16, 3)).max() <= 3


@pytest.mark.parametrize(
    "profile", [b"", b"nonsense", icc_profiles.grey_profile(1.8), "cut", "sRGB"]
)
def test_a_profile_that_is_damaged_or_says_nothing_new_changes_nothing(profile):
    from PIL import ImageCms

    if profile == "cut":
        profile = icc_profiles.rgb_profile("Display P3")[:200]
    if profile == "sRGB":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = drawn(np.random.default_rng(1))
    for kind in LOSSLESS:
        data = saved(pixels, kind, **LOSSLESS[kind], icc_profile=profile)
        np.testing.assert_array_equal(decoded(data), pixels)


def chunk(kind, content, checksum=None):
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def test_damaged_metadata_does_not_lose_the_picture(recwarn):
    pixels = drawn(np.random.default_rng(2))
    jpeg, png = saved(pixels, "JPEG", quality=98), saved(pixels, "PNG")
    upright = decoded(jpeg)
    for content in (
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x09",
        b"Exif\0\0",
    ):
        segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
        np.testing.assert_array_equal(decoded(jpeg[:2] + segment + jpeg[2:]), upright)
        np.testing.assert_array_equal(
            decoded(png[:33] + chunk(b"eXIf", content) + png[33:]), pixels
        )
    tags = exif(6).tobytes().removeprefix(b"Exif\0\0")
    for damage in (
        chunk(b"tEXt", b"Comment\0me", checksum=1),
        chunk(b"iCCP", b"a profile\0\0" + zlib.compress(bytes(50_000_000))),
        chunk(b"iCCP", b"a profile\0\0no zlib"),
    ):
        data = png[:33] + damage + chunk(b"eXIf", tags) + png[33:]
        np.testing.assert_array_equal(stored(decoded(data), 6), pixels)
    assert not recwarn


def test_what_follows_a_jpeg_is_no_part_of_it():
    rng = np.random.default_rng(3)
    pixels = drawn(rng)
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 2}, {"exif": exif(3)}):
        jpeg = saved(pixels, "JPEG", **options)
        alone = decoded(jpeg)
        others = saved(drawn(rng), "JPEG"), b"\0\0\0\x18ftypmp42" + rng.bytes(5000), bytes(99)
        for behind in (*others, others[0][: len(others[0]) // 2], b"\xff\xda\0\x08"):
            np.testing.assert_array_equal(decoded(jpeg + behind), alone)
    pair = io.BytesIO()
    first, second = Image.fromarray(pixels), Image.fromarray(255 - pixels)
    first.save(pair, "MPO", save_all=True, append_images=[second], quality=98)
    assert np.abs(decoded(pair.getvalue()) - pixels).max() <= 40


@pytest.mark.parametrize("seed", range(30))
def test_a_picture_that_is_cut_off_is_refused(seed):
    rng = np.random.default_rng(seed)
    kind = ("JPEG", "PNG")[seed % 2]
    options = {"progressive": bool(rng.integers(2)), "exif": exif(6)} if kind == "JPEG" else {}
    data = saved(drawn(rng), kind, **options)
    cut = data[: int(rng.integers(12, len(data) - (2 if kind == "JPEG" else 12)))]
    for rest in (cut, cut + bytes(3000)):
        with pytest.raises(UserError, match="The image a breaks off in the middle; give a PNG"):
            images.decode_image(rest, "a")


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["associated", "unassociated"])
def test_a_tiff_is_multiplied_by_its_alpha_once(kind, bits):
    rgba = drawn(np.random.default_rng(4), 4)
    rgba[..., 3] = np.maximum(rgba[..., 3], 8)
    top = 2**bits - 1
    values = rgba.astype(np.float64) * top / 255
    if kind == "associated":
        values[..., :3] *= rgba[..., 3:] / 255
    data = bare_tiff(values.round().astype(f"<u{bits // 8}"), 1 if kind == "associated" else 2)
    assert np.abs(decoded(data) - on_white(rgba)).max() <= 2


def bare_tiff(pixels, extra_samples):
    """Baseline TIFF 6.0, little-endian, of one strip."""
    height, width, channels = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    entries = [
        *((256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, 200), (259, 3, 1, 1)),
        *((262, 3, 1, 2), (273, 4, 1, 300), (277, 3, 1, channels), (278, 3, 1, height)),
        *((279, 4, 1, pixels.nbytes), (338, 3, 1, extra_samples)),
    ]
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    head += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return head.ljust(200, b"\0") + struct.pack(f"<{channels}H", *[bits] * channels) + bytes(
        300 - 200 - 2 * channels
    ) + pixels.tobytes()  # fmt: skip


def test_every_mode_is_the_picture_it_means():
    rng = np.random.default_rng(5)
    rgb, grey = drawn(rng), drawn(rng, 1)[..., 0]
    key = np.zeros_like(rgb)
    key[:4], key[4:] = (9, 8, 7), (200, 100, 50)
    palette = Image.fromarray(key).quantize(2)
    first = palette.getpixel((0, 0))
    shown = key.copy()
    shown[:4] = 255
    deep = np.linspace(0, 65535, 256 * 4).astype(np.uint16).reshape(32, 32)
    bits = grey > 128
    inverted = Image.fromarray(
        255 - np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]), "CMYK"
    )
    cases = {
        "palette with transparency": (saved(palette, "PNG", transparency=first), shown),
        "GIF with transparency": (saved(palette, "GIF", transparency=first), shown),
        "colour key": (saved(key, "PNG", transparency=(9, 8, 7)), shown),
        "grey key": (saved(key[..., 0], "PNG", transparency=9), shown[..., :1]),
        "deep grey": (saved(deep, "PNG"), (deep >> 8)[..., None]),
        "deep grey TIFF": (saved(deep, "TIFF"), (deep >> 8)[..., None]),
        "deep grey key": (
            saved(Image.fromarray(deep), "PNG", transparency=0),
            np.where(deep, deep >> 8, 255)[..., None],
        ),
        "bits": (saved(bits, "PNG"), 255 * bits[..., None]),
        "bits TIFF": (saved(bits, "TIFF", compression="group4"), 255 * bits[..., None]),
        "inks": (saved(inverted, "TIFF"), rgb),
        "inks JPEG": (saved(inverted, "JPEG", quality=100), rgb),
        "BMP": (saved(rgb, "BMP"), rgb),
        "PPM": (saved(rgb, "PPM"), rgb),
        "AVIF": (
            cv2.imencode(".avif", rgb[..., ::-1], [cv2.IMWRITE_AVIF_QUALITY, 100])[1].tobytes(),
            rgb,
        ),
    }
    for name, (data, expected) in cases.items():
        error = np.abs(decoded(data) - expected).mean()
        assert error <= (2 if name in ("inks JPEG", "AVIF") else 0), name
    for kind, options in {"GIF": {}, "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}.items():
        others = [Image.fromarray(255 - rgb)] * 2
        data = saved(rgb, kind, save_all=True, append_images=others, **options)
        assert np.abs(decoded(data) - rgb).max() <= (30 if kind == "GIF" else 0), kind


def test_what_phones_and_cameras_write_else_is_named():
    heic = b"\0\0\0\x18ftypheic" + bytes(100)
    with pytest.raises(UserError, match="face.heic is a HEIC image, which is not read; save it as"):
        images.decode_image(heic, "face.heic")
    preview = saved(drawn(np.random.default_rng(11)), "TIFF", tiffinfo={254: 1})
    with pytest.raises(UserError, match="a.dng is a camera's raw file with a preview; export it"):
        images.decode_image(preview, "a.dng")


def test_deep_colour_with_alpha_is_put_on_white():
    rgba = np.random.default_rng(6).integers(0, 65536, (20, 30, 4)).astype(np.uint16)
    data = cv2.imencode(".png", rgba[..., [2, 1, 0, 3]])[1].tobytes()
    assert np.abs(decoded(data) - on_white(rgba / 257)).max() <= 2


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}])
def test_a_jpeg_has_the_pixels_of_the_shards_decoder(options):
    data = saved(
        np.random.default_rng(7).integers(0, 256, (65, 47, 3)).astype(np.uint8), "JPEG", **options
    )
    np.testing.assert_array_equal(decoded(data), images.decode_jpeg(data))


def test_no_other_library_s_limits_matter(monkeypatch, recwarn):
    limit = 1 << 19
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    picture = Image.new("RGB", (1400, 1000), "teal")  # Pillow would refuse more than twice it.
    for kind in ("PNG", "JPEG", "WEBP", "BMP"):
        assert decoded(saved(picture, kind)).shape == (1000, 1400, 3)
    assert limit == Image.MAX_IMAGE_PIXELS and not recwarn


def test_decoding_leaves_stderr_alone(monkeypatch, capfd):
    """In threads at once, damaged pictures among them."""
    pixels = drawn(np.random.default_rng(9), 3)
    whole = saved(pixels, "PNG")
    damaged = bytearray(saved(pixels, "JPEG")), bytearray(whole)
    for data in damaged:
        data[len(data) // 2 : len(data) // 2 + 20] = bytes(20)
    wrong = []

    def decode():
        for _ in range(20):
            for data in damaged:
                try:
                    decoded(bytes(data))
                except UserError as error:
                    wrong.extend([] if str(error).endswith("opens in a viewer.") else [error])
            wrong.extend([] if (decoded(whole) == pixels).all() else ["another picture"])

    threads = [threading.Thread(target=decode) for _ in range(4)]
    with monkeypatch.context() as patched:
        patched.setattr(os, "dup2", None)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong and capfd.readouterr() == ("", "")


MEMORY = """
import pathlib, re, sys
from data_pipelines.media import images
def peak():
    return int(re.search("VmHWM:[^0-9]*([0-9]+)", pathlib.Path("/proc/self/status").read_text())[1])
before = peak()
images.read_image(sys.argv[1])
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_alpha_takes_no_more_memory_than_colour_alone(tmp_path):
    used = {}
    for mode in ("RGB", "RGBA"):
        Image.new(mode, (6000, 4000), "teal").save(tmp_path / "large.png", compress_level=1)
        program = [sys.executable, "-c", MEMORY, str(tmp_path / "large.png")]
        used[mode] = 1024 * int(subprocess.run(program, check=True, capture_output=True).stdout)
    assert used["RGBA"] < 1.15 * used["RGB"] and used["RGBA"] < 12 * 6000 * 4000


@needs_inputs
def test_the_inputs_that_people_have_are_read():
    motion = images.read_image(INPUTS / "motion_photo.jpg").astype(float)
    turned = images.read_image(INPUTS / "alpha_exif6.png").astype(float)
    assert motion.shape == turned.shape == (192, 160, 3)
    # Both show the same face upright: skin in the middle, the blue wall above, the jumper below.
    for picture in (motion, turned):
        wall, skin, jumper = picture[10:30, 60:100], picture[100:120, 60:90], picture[180:, 20:50]
        assert np.argmax(wall.mean((0, 1))) == 2 and np.argmax(skin.mean((0, 1))) == 0
        assert jumper.mean() < 60
    assert images.read_image(INPUTS / "medium_shot_1280x720.jpg").shape == (720, 1280, 3)
