"""Reads images of any format as their files mean them, by Pillow and OpenCV; writes JPEG and PNG."""

import io
import os
import struct
import zlib

import cv2
import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

try:
    from PIL.AvifImagePlugin import AvifImageFile
except ImportError:  # Of before Pillow 11.3, beside which OpenCV reads AVIF.
    AvifImageFile = None

import data_pipelines
from data_pipelines.common.errors import UserError
from data_pipelines.common.files import require_file
from data_pipelines.media import image_colors, image_metadata, orientation

_CURE = "give a PNG or JPEG file that opens in a viewer."
_MAX_BYTES = 1 << 28  # Of a file; a PNG of 50 million pixels takes 150 million.

# By how their files begin. Classes of Pillow's own: Image.open would warn and refuse by limits that
# belong to the whole process, and take a phone's JPEG for a sequence of them.
_READERS: dict[bytes, type[ImageFile.ImageFile]] = {
    b"\xff\xd8": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"RIFF": WebPImageFile,
    b"BM": BmpImageFile,
    b"GIF8": GifImageFile,
    b"II*\0": TiffImageFile,
    b"MM\0*": TiffImageFile,
    b"II+\0": TiffImageFile,  # BigTIFF.
    b"MM\0+": TiffImageFile,
}
_HEIC = (b"ftypheic", b"ftypheix", b"ftypheim", b"ftypmif1")
_UNTRUSTED = (JpegImageFile, PngImageFile, WebPImageFile, BmpImageFile)
# OpenCV may read what Pillow does not: rare formats, rare kinds, and what exceeds Pillow's limit. Not
# JPEG and PNG: its libraries for them print what is damaged.
_OTHERS = (None, TiffImageFile, AvifImageFile, WebPImageFile)
_SUBFILE = 254  # TIFF's tag, 1 for a reduced version of another picture in the file.
# What Pillow raises for a damaged file, or for one of a kind that it does not read.
_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, Warning),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads an image file of any format.

    Args:
      path: The file.

    Returns:
      uint8 [H, W, 3], RGB, upright, transparency on white.

    Raises:
      UserError: There is no such file, or it is not a whole image.
    """
    file = require_file(path, "image")
    if (size := file.stat().st_size) > _MAX_BYTES:
        raise UserError(f"The file {path} has {size} bytes, more than any portrait; {_CURE}")
    return decode_image(file.read_bytes(), path)


def decode_image(data: bytes, name: str | os.PathLike, max_pixels: int | None = None) -> np.ndarray:
    """Decodes the bytes of an image file of any format.

    Of an animation or a file of several pictures, it is the first.

    Args:
      data: The file's bytes.
      name: Name of the file, for messages.
      max_pixels: Largest size of an image from an untrusted source, which has to be a JPEG, PNG,
        WebP or BMP then; a small file may decode to gigabytes.

    Returns:
      uint8 [H, W, 3], sRGB by the file's colour profile, upright, transparency on white.

    Raises:
      UserError: The data is not a whole image, or has more pixels.
    """
    reader = _reader(data)
    if max_pixels is not None and reader not in _UNTRUSTED:
        raise UserError(f"The file {name} is not a JPEG, PNG, WebP or BMP image; {_CURE}")
    data, exif = _picture_alone(data, reader, name)
    limit = int(data_pipelines.MAX_PIXELS) if max_pixels is None else max_pixels
    image = _decode(reader, data, exif, name, limit) if reader else None
    if image is None and reader is PngImageFile:
        image = _decode(reader, image_metadata.strip_png(data), exif, name, limit)
    if image is None and max_pixels is None and reader in _OTHERS:
        image = _decode_other(data, name)
        if image is None and data[4:12] in _HEIC:
            raise UserError(f"The file {name} is a HEIC image, which is not read; save it as JPEG.")
        if image is None:
            raise UserError(f"The file {name} is not an image that can be read; {_CURE}")
    if image is None:
        raise UserError(f"The image {name} is damaged; {_CURE}")
    return image


def encode_jpeg(frame: np.ndarray) -> bytes:
    """Encodes a frame as JPEG of quality 95, 4:4:4, which keeps lips and teeth sharp.

    Args:
      frame: uint8 [H, W, 3], RGB.

    Returns:
      The JPEG's bytes.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 95]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def decode_jpeg(data: bytes) -> np.ndarray:
    """Decodes a frame.

    Args:
      data: A JPEG's bytes.

    Returns:
      uint8 [H, W, 3], RGB.

    Raises:
      ValueError: They are not a JPEG.
    """
    frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if frame is None:
        raise ValueError(f"{len(data)} bytes that are not a JPEG")
    return frame


def encode_png(image: np.ndarray) -> bytes:
    """Encodes an image as PNG.

    Args:
      image: uint8 [H, W, 3], RGB.

    Returns:
      The PNG's bytes.
    """
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def _reader(data: bytes) -> type[ImageFile.ImageFile] | None:
    if data[4:12] == b"ftypavif":
        return AvifImageFile
    return next((reader for begin, reader in _READERS.items() if data.startswith(begin)), None)


def _picture_alone(
    data: bytes, reader: type[ImageFile.ImageFile] | None, name: str | os.PathLike
) -> tuple[bytes, bytes]:
    # The bytes without what follows a JPEG's first picture, and a JPEG's EXIF.
    try:
        if reader is JpegImageFile:
            return image_metadata.split_jpeg(data)
    except ValueError as error:
        raise UserError(f"The image {name} breaks off in the middle; {_CURE}") from error
    if reader is PngImageFile and b"IEND" not in data:
        raise UserError(f"The image {name} breaks off in the middle; {_CURE}")
    return data, b""


def _decode(
    reader: type[ImageFile.ImageFile],
    data: bytes,
    exif: bytes,
    name: str | os.PathLike,
    max_pixels: int,
) -> np.ndarray | None:
    # uint8 [H, W, 3]; None of what Pillow cannot read.
    try:
        with reader(io.BytesIO(data)) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise UserError(
                    f"The image {name} has {width}x{height} pixels, more than the"
                    f" {max_pixels / 1e6:.3g} million that are accepted; make it smaller."
                )
            if isinstance(image, TiffImageFile) and image.tag_v2.get(_SUBFILE, 0) & 1:
                raise UserError(
                    f"The file {name} is a camera's raw file with a preview; export it as JPEG."
                )
            image.load()  # It turns a TIFF upright, and reads what follows a PNG's pixels.
            exif = exif or (b"" if reader is TiffImageFile else image.info.get("exif", b""))
            return image_colors.to_srgb(image, orientation.from_exif(exif))
    except _UNREADABLE:
        return None


def _decode_other(data: bytes, name: str | os.PathLike) -> np.ndarray | None:
    # uint8 [H, W, 3]; None of what OpenCV cannot read, such as a text.
    if not data:
        return None
    encoded = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
        channels = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:  # Too many pixels, or an invalid header.
        limit = f"{int(data_pipelines.MAX_PIXELS) / 1e6:.0f} million pixels"
        raise UserError(
            f"The image {name} is damaged, or has more than {limit}; {_CURE}"
        ) from error
    if image is None or channels is None or channels.ndim != 3 or channels.shape[2] != 4:
        return image
    if channels.dtype == np.uint16:
        channels = (channels.astype(np.uint16) >> 8).astype(np.uint8)
    return image_colors.on_white(channels[..., 2::-1], channels[..., 3])
