"""Picture files of every kind, whole, lying and damaged, most of them of the tiny model's size."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from data_pipelines.media import images, writer
from tests.fuzz import hostile_made
from tests.fuzz.hostile_made import (
    Made,
    a_folder,
    a_loop,
    a_pipe,
    endless,
    missing,
    nowhere,
    sparse,
    written,
)

SIZE = 16, 12  # Height and width of the tiny model.


def _pixels(rng, size=SIZE, channels=3):
    return rng.integers(0, 256, (*size, channels), np.uint8)


def _saved(image, kind, **options):
    encoded = io.BytesIO()
    image.save(encoded, kind, **options)
    return encoded.getvalue()


# Name of a maker -> (of what PIL calls the mode, the format, its options).
_KINDS = (
    ("RGB", "PNG", {}),
    ("RGBA", "PNG", {}),
    ("L", "PNG", {}),
    ("LA", "PNG", {}),
    ("P", "PNG", {}),
    ("1", "PNG", {}),
    ("I;16", "PNG", {}),
    ("RGB", "JPEG", {}),
    ("RGB", "JPEG", {"progressive": True, "quality": 1}),
    ("L", "JPEG", {}),
    ("CMYK", "JPEG", {}),
    ("RGB", "BMP", {}),
    ("P", "BMP", {}),
    ("1", "BMP", {}),
    ("RGB", "WEBP", {}),
    ("RGBA", "WEBP", {"lossless": True}),
    ("RGB", "TIFF", {}),
    ("RGB", "TIFF", {"compression": "tiff_lzw"}),
    ("CMYK", "TIFF", {}),
    ("F", "TIFF", {}),
    ("I;16", "TIFF", {}),
    ("P", "GIF", {}),
    ("RGB", "PPM", {}),
)


def _image(rng, mode, size=SIZE):
    if mode in ("F", "I;16"):
        values = _pixels(rng, size, 1)[..., 0]
        values = values.astype(np.float32) if mode == "F" else values.astype(np.uint16) * 257
        return Image.fromarray(values)
    return Image.fromarray(_pixels(rng, size)).convert(mode)


def _whole(rng):
    """-> bytes of a good picture, its ending, and whether OpenCV must read it."""
    mode, kind, options = _KINDS[rng.integers(len(_KINDS))]
    data = _saved(_image(rng, mode), kind, **options)
    rare = kind in ("TIFF", "GIF") or mode in ("CMYK", "F")
    return data, kind.lower(), None if rare else True


def _write(folder, data, ending, good, what, size=None):
    return written(folder / f"picture.{ending}", data, good, what, size=size)


def whole(rng, folder):
    """Every kind that a viewer shows."""
    data, ending, good = _whole(rng)
    return _write(folder, data, ending, good, f"whole {ending}", SIZE)


def damaged(rng, folder):
    data, ending, _ = _whole(rng)
    name, data = hostile_made.damaged(data, rng)
    return _write(folder, data, ending, None, f"damaged {ending} {name}")


def odd_size(rng, folder):
    """One pixel, one line, a size that no model has."""
    sizes = ((1, 1), (1, 12), (16, 1), (2, 2), (12, 16), (17, 12), (128, 96), (1, 20000), (3000, 3))
    size = sizes[rng.integers(len(sizes))]
    data = images.encode_png(_pixels(rng, size))
    return _write(folder, data, "png", False, f"odd_size {size}", size)


def turned(rng, folder):
    """By its EXIF tag, so that it has the model's size only upright, or only as it is stored."""
    orientation = int(rng.integers(0, 12))
    stored = SIZE if rng.random() < 0.5 else SIZE[::-1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _saved(Image.fromarray(_pixels(rng, stored)), "JPEG", exif=exif)
    shown = stored[::-1] if 5 <= orientation <= 8 else stored
    return _write(folder, data, "jpg", shown == SIZE, f"turned {orientation} {stored}", shown)


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width, height, data, *more, bits=8, colour=2):
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [_chunk(b"IHDR", head), *more, _chunk(b"IDAT", data), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def claimed(rng, folder):
    """A small file that says it holds a huge picture, or none."""
    sides = (0, 1, 65535, 20000, 30000, 32767, 100_000, 2**31 - 1, 2**32 - 1)
    width, height = (sides[i] for i in rng.integers(0, len(sides), 2))
    kind = int(rng.integers(6))
    if kind == 0:
        bits, colour = (8, 16, 3)[rng.integers(3)], (0, 2, 3, 4, 6, 9)[rng.integers(6)]
        data, ending = (
            _png(width, height, zlib.compress(bytes(99)), bits=bits, colour=colour),
            "png",
        )
    elif kind == 1:
        data, ending = bytearray(_saved(_image(rng, "RGB"), "JPEG")), "jpg"
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", height % 65536, width % 65536)
    elif kind == 2:
        data, ending = bytearray(_saved(_image(rng, "RGB"), "BMP")), "bmp"
        data[18:26] = struct.pack("<II", width, height)
    elif kind == 3:
        data, ending = bytearray(_saved(_image(rng, "P"), "GIF")), "gif"
        data[6:10] = struct.pack("<HH", width % 65536, height % 65536)
    elif kind == 4:
        data, ending = f"P6 {width} {height} 255\n".encode() + bytes(99), "ppm"
    else:
        data, ending = bytearray(_saved(_image(rng, "RGB"), "TIFF")), "tif"
        at = (
            data.index(struct.pack("<HHI", 256, 4, 1))
            if struct.pack("<HHI", 256, 4, 1) in data
            else 8
        )
        data[at + 8 : at + 12] = struct.pack("<I", width)
    return _write(folder, bytes(data), ending, None, f"claimed {kind} {width}x{height}")


def bomb(rng, folder):
    """A small file that unfolds into much."""
    kind = int(rng.integers(3))
    if kind == 0:  # 1.2 GB of black.
        line = bytes(1 + 3 * 20_000)
        press = zlib.compressobj(9)
        data = b"".join(press.compress(line) for _ in range(20_000)) + press.flush()
        data = _png(20_000, 20_000, data)
    else:  # Beside a good picture.
        text = b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9)
        more = _chunk(b"zTXt", text) if kind == 1 else _chunk(b"iCCP", text)
        lines = b"".join(b"\0" + row.tobytes() for row in _pixels(rng))
        data = _png(SIZE[1], SIZE[0], zlib.compress(lines), more)
    good = None if kind else False
    return _write(folder, data, "png", good, f"bomb {kind}")


def no_picture(rng, folder):
    """Something else under the name of a picture."""
    kind = int(rng.integers(9))
    if kind == 8:
        path = folder / "picture.png"
        writer.write_video(path.with_suffix(".mp4"), np.zeros((3, 16, 12, 3), np.uint8), 25)
        path.with_suffix(".mp4").rename(path)
        return Made(str(path), False, path.name, "no_picture mp4")
    data = (
        b"",
        b"a face\n" * 500,
        b'<svg xmlns="http://www.w3.org/2000/svg" width="12" height="16"/>',
        b"<!DOCTYPE html><title>404</title>",
        rng.bytes(3000),
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        bytes(10_000),
    )[kind]
    return _write(folder, data, "png", False, f"no_picture {kind}")


def wrong_ending(rng, folder):
    data, ending, good = _whole(rng)
    other = ("png", "jpg", "txt", "mp4", "")[rng.integers(5)]
    return _write(folder, data, other, good, f"wrong_ending {ending} as {other}", SIZE)


def animated(rng, folder):
    first, *others = (_image(rng, "RGB") for _ in range(3))
    kind = ("GIF", "PNG", "WEBP", "TIFF")[rng.integers(4)]
    data = _saved(first, kind, save_all=True, append_images=others)
    return _write(folder, data, kind.lower(), None, f"animated {kind}", SIZE)


def special(rng, folder):
    kinds = (a_folder, a_pipe, endless, a_loop, nowhere, sparse, missing)
    return hostile_made.special(rng, folder / "picture.png", kinds)


PICTURES = {
    "whole": whole,
    "damaged": damaged,
    "odd_size": odd_size,
    "turned": turned,
    "claimed": claimed,
    "bomb": bomb,
    "no_picture": no_picture,
    "wrong_ending": wrong_ending,
    "animated": animated,
    "special": special,
}


def good(rng, folder):
    """A plain one of the model's size."""
    return _write(folder, images.encode_png(_pixels(rng)), "png", True, "good", SIZE)
