"""Reads and writes images, by OpenCV."""

import io
import os

import cv2
import numpy as np

import data_pipelines
from data_pipelines.common.errors import UserError
from data_pipelines.common.files import require_file
from data_pipelines.common.silenced import silenced_stderr

# OpenCV's own messages about a damaged image would come before ours.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_CURE = "give a PNG or JPEG file that opens in a viewer."
_MAX_BYTES = 1 << 28  # Of a file; a PNG of 50 million pixels takes 150 million.


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

    Args:
      data: The file's bytes.
      name: Name of the file, for messages.
      max_pixels: Largest size of an image from an untrusted source, which has to be a JPEG, PNG,
        WebP or BMP then; a small file may decode to gigabytes.

    Returns:
      uint8 [H, W, 3], RGB, upright, transparency on white.

    Raises:
      UserError: The data is not a whole image, or has more pixels.
    """
    if max_pixels is not None:
        _check_size(data, name, max_pixels)
    # The bytes of a JPEG's scan never contain an end marker, so one must follow the last scan.
    cut_jpeg = data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if cut_jpeg or (data[:4] == b"\x89PNG" and b"IEND" not in data):
        raise UserError(f"The image {name} breaks off in the middle; {_CURE}")
    encoded = np.frombuffer(data, np.uint8)
    try:
        with silenced_stderr():  # libpng and libjpeg print what is damaged.
            image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB) if data else None
            channels = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error as error:  # Too many pixels, or an invalid header.
        limit = f"{int(data_pipelines.MAX_PIXELS) / 1e6:.0f} million pixels"
        raise UserError(
            f"The image {name} is damaged, or has more than {limit}; {_CURE}"
        ) from error
    if image is None or channels is None:
        raise UserError(f"The file {name} is not an image that can be read; {_CURE}")
    if channels.ndim == 3 and channels.shape[2] == 4:
        channels = channels / np.float32(65535 if channels.dtype == np.uint16 else 255)
        color, alpha = channels[..., 2::-1], channels[..., 3:]
        image = np.rint(255 * (color * alpha + 1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(image)


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


def _check_size(data: bytes, name: str | os.PathLike, max_pixels: int) -> None:
    # By the header alone, of those formats whose headers Pillow and OpenCV read alike.
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "BMP")) as image:
            width, height = image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"The file {name} is not a JPEG, PNG, WebP or BMP image; {_CURE}"
        ) from error
    if width * height > max_pixels:
        raise UserError(
            f"The image {name} has {width}x{height} pixels, more than the {max_pixels / 1e6:g}"
            " million that are accepted; make it smaller."
        )
