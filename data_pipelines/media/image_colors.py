"""Converts Pillow's images of any mode to sRGB on white, by their colour profiles."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

from data_pipelines.media.orientation import Orientation

_STRIP_PIXELS = 1 << 19  # That are converted at once: beside the result there is one picture.
_DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of 16 bits.


def to_srgb(image: Image.Image, turned: Orientation) -> np.ndarray:
    """Converts an image to sRGB, upright, with what is transparent on white.

    Args:
      image: An image of 1, 8 or 16 bits a channel, loaded.
      turned: How it is stored.

    Returns:
      uint8 [H, W, 3].

    Raises:
      ValueError: Its mode has no meaning as a picture, such as numbers of 32 bits.
    """
    width, height = image.size
    result = np.empty((width, height, 3) if turned.transposed else (height, width, 3), np.uint8)
    stored = turned.stored(result)
    transform = _profile_transform(image)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        color, alpha = _split(strip)
        pixels = np.asarray(transform(color) if transform else color.convert("RGB"))
        stored[top : top + rows] = pixels if alpha is None else on_white(pixels, alpha)
    return result


def on_white(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Puts pixels on a white ground.

    Args:
      color: uint8 [H, W, 3], not multiplied by alpha.
      alpha: uint8 [H, W], 255 opaque.

    Returns:
      uint8 [H, W, 3].
    """
    share = alpha[..., None].astype(np.uint16)
    return ((color * share + (255 * (255 - share) + 127)) // 255).astype(np.uint8)


def _split(strip: Image.Image) -> tuple[Image.Image, np.ndarray | None]:
    # The colour in a mode that profiles know (L, RGB, CMYK), and alpha, uint8 [H, W].
    if strip.mode in _DEEP_GREY:
        return _deep_grey(strip)
    if strip.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"):
        raise ValueError(f"mode {strip.mode}")
    if strip.mode in ("LA", "PA", "RGBA") or strip.has_transparency_data:
        strip = strip if strip.mode == "LA" else strip.convert("RGBA")
        alpha = np.asarray(strip.getchannel("A"))
        return strip.convert(_color_mode(strip)), None if alpha.min() == 255 else alpha
    return strip.convert(_color_mode(strip)), None


def _deep_grey(strip: Image.Image) -> tuple[Image.Image, np.ndarray | None]:
    # Pillow's own conversion clips at 255.
    levels = np.asarray(strip)
    grey = Image.fromarray((levels >> 8).astype(np.uint8))
    key = strip.info.get("transparency")
    alpha = None if key is None else np.where(levels == key, 0, 255).astype(np.uint8)
    return grey, alpha


def _color_mode(image: Image.Image) -> str:
    if image.mode in ("1", "L", "LA", *_DEEP_GREY):
        return "L"
    return "CMYK" if image.mode == "CMYK" else "RGB"


def _profile_transform(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    # None without a profile, with one that is damaged or of other channels, and for sRGB.
    mode, profile = _color_mode(image), image.info.get("icc_profile")
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        probe = _probe(mode)
        converted = _applied(probe, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    before, after = (np.asarray(each, np.int16) for each in (probe.convert("RGB"), converted))
    change = np.abs(after - before).max()
    if change <= 1:  # A camera's sRGB profile differs in its rounding.
        return None
    return lambda color: _applied(color, transform)


def _applied(color: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted = ImageCms.applyTransform(color, transform)
    assert converted is not None  # Which it is in place alone.
    return converted


def _probe(mode: str) -> Image.Image:
    # Levels all through the mode's range.
    bands = len(Image.new(mode, (1, 1)).getbands())
    levels = np.linspace(0, 255, 9 if bands > 1 else 256).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * bands), -1).reshape(1, -1, bands)
    return Image.frombytes(mode, (grid.shape[1], 1), grid.tobytes())
