"""Messages between the live page and its server on the WebSocket, and the parsing of any page's JSON.

Text is a JSON object with a "type". Bytes to the server are those of the upload or the audio (int16,
little-endian, mono) that was announced last. Bytes to the page begin with a header of 8: what they
are, and of a frame its index, both uint32 little-endian.

From the page:
  face      name, bytes: a picture of that many bytes follows
  example   what: the face or the sound that comes with the model; seed
  speak     rate, seed: audio follows, as it is spoken, until `end`
  sound     name, bytes, seed: an audio file of that many bytes follows
  end       of what is spoken
  stop      cancels the video that is being made
  alive     the visitor is still there
To the page:
  welcome   what the server offers (studio.DemoService.welcome_message)
  full      text: there is no free place; the socket is closed
  face      width, height: of the picture; corners: of the crop in it; aligned: it is the crop;
            doubts: sentences about its quality; the crop follows as a PNG
  go        about: the server is ready for its bytes
  sound     rate, samples: of the file, as a browser plays it; its PCM comes in parts; doubts:
            sentences about what is missing in it, or too quiet
  frame     a JPEG, as soon as it is generated
  status    live.LiveGeneration.report, and behind_s: seconds of audio that wait
  done      the final report; bytes: of the mp4, which comes in parts
  stopped   the cancelled video has ended
  error     text, about: face, sound, or keep; a mistake that the visitor can fix
  bye       text: why the socket is closed now
"""

import json
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

CROP, SOUND, FRAME, VIDEO = 1, 2, 3, 4
_HEADER = struct.Struct("<II")
_PART_BYTES = 1 << 16
_MAX_TEXT = 2000  # Characters of a message from a page.
_MAX_NAME = 100


class MalformedMessage(Exception):
    """A message that no page of ours sends; the text says what is wrong with it."""


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Parses a JSON object.

    Args:
      text: JSON in UTF-8.

    Returns:
      The object.

    Raises:
      MalformedMessage: It is not JSON, or not an object.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("not JSON") from error
    if not isinstance(message, dict):
        raise MalformedMessage("not a JSON object")
    return message


def parse_message(text: str) -> dict[str, Any]:
    """Parses a text message of a socket.

    Args:
      text: At most 2000 characters of JSON.

    Returns:
      An object with a string "type".

    Raises:
      MalformedMessage: It is not such a message.
    """
    if len(text) > _MAX_TEXT:
        raise MalformedMessage(f"a message of {len(text)} characters")
    message = parse_object(text)
    string(message, "type")
    return message


def integer(message: dict[str, Any], name: str, low: int, high: int) -> int:
    """Reads an integer field.

    Args:
      message: The object it is in.
      name: Key of the field.
      low: Least value that is allowed.
      high: Greatest value that is allowed.

    Returns:
      The field's value.

    Raises:
      MalformedMessage: It is not an integer in [low, high].
    """
    value = message.get(name)
    if type(value) is not int or not low <= value <= high:
        raise MalformedMessage(f"{name} is not an integer in [{low}, {high}]")
    return value


def string(message: dict[str, Any], name: str) -> str:
    """Reads a string field.

    Args:
      message: The object it is in.
      name: Key of the field.

    Returns:
      The field's value.

    Raises:
      MalformedMessage: It is not a string.
    """
    value = message.get(name)
    if not isinstance(value, str):
        raise MalformedMessage(f"{name} is not a string")
    return value


def file_name(message: dict[str, Any]) -> str:
    """Reads the field "name", the name of a visitor's file.

    Args:
      message: The object it is in.

    Returns:
      The name's last path component, printable characters only, at most 100 of them.

    Raises:
      MalformedMessage: It is not a string.
    """
    name = pathlib.PurePosixPath(string(message, "name").replace("\\", "/")).name
    return "".join(c for c in name if c.isprintable())[-_MAX_NAME:] or "file"


def pack(kind: int, data: bytes, number: int = 0) -> bytes:
    """Packs a binary message to the page.

    Args:
      kind: CROP, SOUND, FRAME or VIDEO.
      data: The payload.
      number: Index of a frame, from 0.

    Returns:
      The header of 8 bytes and the payload.
    """
    return _HEADER.pack(kind, number) + data


def pack_parts(kind: int, data: bytes) -> Iterator[bytes]:
    """Packs a long payload into messages of 64 KiB.

    Args:
      kind: SOUND or VIDEO.
      data: The payload.

    Yields:
      Messages whose payloads together are `data`.
    """
    for start in range(0, len(data), _PART_BYTES):
        yield pack(kind, data[start : start + _PART_BYTES])
