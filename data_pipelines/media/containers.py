"""Opens media files for reading, alike under PyAV 17 to 19."""

import contextlib
import io
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import av
import av.container
import av.error

# Metadata in an unknown encoding is no damage. PyAV 19 has no such argument and never fails on it.
_METADATA = {"metadata_errors": "replace"} if int(av.__version__[:2]) < 19 else {}

_OGG_PAGE = 65536  # Bytes, at most.
_UNKNOWN_SIZE = 0x7FFFF000  # Bytes; programs that write into pipes declare this much or more.


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


def breaks_off(source: str | os.PathLike | io.BytesIO, kind: str) -> bool:
    """Finds files that were cut off, where their format tells and FFmpeg does not.

    Args:
      source: A file, or its bytes.
      kind: FFmpeg's name of the format.

    Returns:
      Whether a RIFF file (WAV, AVI) is shorter than its header says, or an Ogg file's last page is
      not marked as the last (RFC 3533, section 6).
    """
    if kind not in ("ogg", "wav", "avi"):
        return False
    with contextlib.ExitStack() as stack:
        is_data = isinstance(source, io.BytesIO)
        file = source if is_data else stack.enter_context(open(source, "rb"))
        file.seek(0)
        head, size = file.read(8), file.seek(0, io.SEEK_END)
        file.seek(max(size - _OGG_PAGE, 0))
        tail = file.read()
    if kind == "ogg":
        page = tail.rfind(b"OggS")
        return 0 <= page < len(tail) - 5 and not tail[page + 5] & 4
    declared = int.from_bytes(head[4:8], "little") + 8
    return head[:4] == b"RIFF" and size < declared < _UNKNOWN_SIZE


def estimates_length(source: str | os.PathLike | io.BytesIO, kind: str) -> bool:
    """Finds files whose length FFmpeg estimates from their size.

    Args:
      source: A file, or its bytes.
      kind: FFmpeg's name of the format.

    Returns:
      Whether it is bare AAC or AC-3, or an MP3 without Xing's, LAME's or VBRI's header.
    """
    if kind != "mp3":
        return kind in ("aac", "ac3", "eac3")
    with contextlib.ExitStack() as stack:
        is_data = isinstance(source, io.BytesIO)
        file = source if is_data else stack.enter_context(open(source, "rb"))
        file.seek(0)
        head = file.read(10)
        if head[:3] == b"ID3":  # Its size has 7 bits a byte.
            file.seek(
                10
                + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
            )
        else:
            file.seek(0)
        start = file.read(4096)
    return not any(mark in start for mark in (b"Xing", b"Info", b"VBRI"))


def failure_reason(error: av.error.FFmpegError) -> str:
    """Says in words what FFmpeg's error means for a file that is read.

    FFmpeg's own texts mislead: "Operation not permitted" is said of unusual streams, and of
    unsupported ones that patches are welcome.

    Args:
      error: The error.

    Returns:
      A part of a sentence.
    """
    unsupported = (
        av.error.PatchWelcomeError,
        av.error.NotImplementedError,
        av.error.DecoderNotFoundError,
        av.error.ExperimentalError,
    )
    if isinstance(error, unsupported):
        return "its format has features that are not supported"
    if isinstance(error, av.error.EOFError):
        return "it ends too early"
    if isinstance(error, av.error.MemoryError):
        return "too little memory"
    return "it is damaged, or of an unknown format"
