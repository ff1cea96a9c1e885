"""Opens media files for reading, alike under PyAV 17 to 19."""

import io
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import av
import av.container

# Metadata in an unknown encoding is no damage. PyAV 19 has no such argument and never fails on it.
_METADATA = {"metadata_errors": "replace"} if int(av.__version__[:2]) < 19 else {}


def open_media(
    source: str | os.PathLike | io.BytesIO, options: Mapping[str, str] | None = None
) -> av.container.InputContainer:
    """Opens a media file for reading.

    Args:
      source: An existing file, or its bytes.
      options: FFmpeg's, for the container.

    Returns:
      The container; the caller closes it.

    Raises:
      av.error.FFmpegError: FFmpeg does not know the format, or the file is damaged.
    """
    if isinstance(source, io.BytesIO):
        source.seek(0)
        file: Any = source
    else:  # A relative path with a colon would be taken for an address.
        file = str(pathlib.Path(source).absolute())
    opening: Any = av.open  # Whose arguments depend on the version.
    return opening(file, "r", options=dict(options or {}), **_METADATA)


def read_tags(container: av.container.InputContainer) -> dict[str, str]:
    """Reads a container's metadata.

    Args:
      container: The open file.

    Returns:
      Values by name. Bytes that are not UTF-8 are replaced by U+FFFD: PyAV 19 leaves them as lone
      surrogates, which no file or terminal takes.
    """
    return {_replaced(name): _replaced(value) for name, value in dict(container.metadata).items()}


def _replaced(text: str) -> str:
    return text.encode(errors="surrogateescape").decode(errors="replace")
