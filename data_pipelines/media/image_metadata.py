"""Separates the pixels of JPEG and PNG files from the metadata and from what follows them."""

import re
import zlib

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# A marker of JPEG; neither a stuffed 0xFF of the scan nor a restart within it.
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_JPEG_END, _JPEG_SCAN = b"\xff\xd9", b"\xff\xda"
_JPEG_METADATA = b"\xe1\xed"  # EXIF and XMP; Photoshop's.


def split_jpeg(data: bytes) -> tuple[bytes, bytes]:
    """Takes the first picture out of a JPEG file.

    A motion photo has a video behind it, others a preview or a gain map.

    Args:
      data: The file's bytes.

    Returns:
      The picture from start to end marker, without EXIF, and the EXIF metadata, b"" for none.

    Raises:
      ValueError: The picture has no end: the file was cut off.
    """
    kept, exif, begin = [], b"", 0
    match = _JPEG_MARKER.search(data, 2)
    while match and match[1] != _JPEG_END[1:]:
        size = int.from_bytes(data[match.end() : match.end() + 2], "big")
        end, content = match.end() + size, data[match.end() + 2 : match.end() + size]
        if match[1] in _JPEG_METADATA:
            kept.append(data[begin : match.start()])
            begin = end
            exif = exif or (content if content.startswith(b"Exif\0\0") else b"")
        match = _JPEG_MARKER.search(data, end)
    # The scan's bytes never contain an end marker, so one must follow even a damaged scan.
    if match is None and data.rfind(_JPEG_END) <= data.rfind(_JPEG_SCAN):
        raise ValueError("no end marker")
    return b"".join([*kept, data[begin : match.end() if match else None]]), exif


def strip_png(data: bytes) -> bytes:
    """Removes the metadata of a PNG but for EXIF, and EXIF if it is damaged.

    Args:
      data: The file's bytes.

    Returns:
      The bytes of a PNG of the same pixels.
    """
    kept, position = [_PNG_SIGNATURE], len(_PNG_SIGNATURE)
    while position < len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        kind, checksum = (
            data[position + 4 : position + 8],
            int.from_bytes(data[end - 4 : end], "big"),
        )
        whole_exif = kind == b"eXIf" and zlib.crc32(data[position + 4 : end - 4]) == checksum
        if kind in _PNG_PIXELS or whole_exif:
            kept.append(data[position:end])
        position = end
    return b"".join(kept)
