"""Pictures in and out of files, by OpenCV."""

import io
import os

import cv2
import numpy as np

import data_pipelines
from data_pipelines.common.errors import UserError
from data_pipelines.common.files import require_file
from data_pipelines.common.silenced import silenced_stderr

# OpenCV's own words on a damaged picture would come before ours.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_PICTURE = "give a PNG or JPEG file that opens in a viewer."


_LARGEST_PICTURE = 1 << 28  # Bytes of a file; a PNG of 50 million pixels takes 150 million.


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Any picture file -> uint8 [H, W, 3] RGB, upright, transparency on white.

    Raises:
      UserError: there is no such file, or it is not a whole picture.
    """
    file = require_file(path, "image")
    if (size := file.stat().st_size) > _LARGEST_PICTURE:
        raise UserError(f"The file {path} has {size} bytes, more than any portrait; {_PICTURE}")
    return decode_image(file.read_bytes(), path)


def decode_image(
    data: bytes, name: str | os.PathLike, most_pixels: int | None = None
) -> np.ndarray:
    """The bytes of any picture file -> uint8 [H, W, 3] RGB, upright, transparency on white.

    name: of the file, for the sentences. most_pixels: of a picture from somebody whom one does not
    know; a small file may decode to gigabytes.

    Raises:
      UserError: it is not a whole picture, or has more pixels.
    """
    if most_pixels is not None:
        _check_size(data, name, most_pixels)
    # The bytes of a JPEG's scan never hold an end marker, so one has to follow the last scan.
    half_jpeg = data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if half_jpeg or (data[:4] == b"\x89PNG" and b"IEND" not in data):
        raise UserError(f"The image {name} breaks off in the middle; {_PICTURE}")
    encoded = np.frombuffer(data, np.uint8)
    try:
        with silenced_stderr():  # libpng and libjpeg have a word on what is damaged.
            image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB) if data else None
            layers = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error as error:  # More pixels than it takes, or numbers that are none.
        most = f"{int(data_pipelines.MOST_PIXELS) / 1e6:.0f} million pixels"
        raise UserError(
            f"The image {name} is damaged, or has more than {most}; {_PICTURE}"
        ) from error
    if image is None or layers is None:
        raise UserError(f"The file {name} is not an image that can be read; {_PICTURE}")
    if layers.ndim == 3 and layers.shape[2] == 4:
        layers = layers / np.float32(65535 if layers.dtype == np.uint16 else 255)
        colour, alpha = layers[..., 2::-1], layers[..., 3:]
        image = np.rint(255 * (colour * alpha + 1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(image)


def _check_size(data: bytes, name: str | os.PathLike, most: int) -> None:
    """By the file's head alone, in those formats whose head OpenCV reads in the same way."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "BMP")) as picture:
            width, height = picture.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"The file {name} is not a JPEG, PNG, WebP or BMP picture; {_PICTURE}"
        ) from error
    if width * height > most:
        raise UserError(
            f"The image {name} has {width}x{height} pixels, more than the {most / 1e6:g} million that are"
            " taken; make it smaller."
        )


def encode_jpeg(frame: np.ndarray) -> bytes:
    """uint8 [H, W, 3] RGB -> JPEG bytes, quality 95, 4:4:4, which keeps lips and teeth sharp."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 95]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def decode_jpeg(data: bytes) -> np.ndarray:
    """JPEG bytes -> uint8 [H, W, 3] RGB."""
    frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if frame is None:
        raise ValueError(f"{len(data)} bytes that are not a JPEG")
    return frame


def encode_png(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] RGB -> PNG bytes."""
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
