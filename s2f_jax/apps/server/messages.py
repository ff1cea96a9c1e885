"""What a page and the server say to each other on the socket.

Text is a JSON object with a "type". Bytes to the server are those of the upload or the sound (int16,
little-endian, mono) that was announced last. Bytes to the page begin with 8 of their own: what they
are, and of a frame its number, uint32 little-endian both.

From the page:
  face      name, bytes: a picture of so many bytes follows
  example   what: the face or the sound that comes with the model; seed
  speak     rate, seed: sound follows, as it is spoken, until `end`
  sound     name, bytes, seed: a sound file of so many bytes follows
  end       of what is spoken
  stop      the video in the making is not wanted
  alive     somebody is still there
To the page:
  welcome   what there is (studio.Studio.welcome)
  full      text: there is no place; the socket is closed
  face      width, height: of the picture; corners: of the crop in it; aligned: it is the crop;
            doubts: sentences; the crop follows as a PNG
  go        about: its bytes may come now
  sound     rate, samples: of the file, as a browser plays it; its PCM comes in parts
  frame     a JPEG, as soon as it is drawn
  status    live.Live.report, and behind_s: seconds of sound that wait
  done      the report in the end; bytes: of the mp4, which comes in parts
  stopped   what was not wanted has ended
  error     text, about: face, sound, or keep; what a person can mend
  bye       text: why the socket is closed now
"""

import json
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

CROP, SOUND, FRAME, VIDEO = 1, 2, 3, 4
_HEAD = struct.Struct("<II")
_PART = 1 << 16  # Bytes.
_MOST_TEXT = 2000  # Characters of a message from a page.
_MOST_NAME = 100


class Malformed(Exception):
    """No page of ours says so."""


def parse_message(text: str) -> dict[str, Any]:
    """Raises Malformed where it is no message."""
    if len(text) > _MOST_TEXT:
        raise Malformed(f"a message of {len(text)} characters")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed("a message that is no JSON") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise Malformed("a message without a type")
    return message


def number(message: dict[str, Any], name: str, low: int, high: int) -> int:
    """A field that is a whole number from low to high. Raises Malformed where it is not."""
    value = message.get(name)
    if type(value) is not int or not low <= value <= high:
        raise Malformed(f"{name} is no whole number from {low} to {high}")
    return value


def name(message: dict[str, Any]) -> str:
    """What a visitor's file is called, without its folders. Raises Malformed where it is no text."""
    value = message.get("name")
    if not isinstance(value, str):
        raise Malformed("a file without a name")
    last = pathlib.PurePosixPath(value.replace("\\", "/")).name
    return "".join(c for c in last if c.isprintable())[-_MOST_NAME:] or "file"


def packed(kind: int, data: bytes, number: int = 0) -> bytes:
    return _HEAD.pack(kind, number) + data


def in_parts(kind: int, data: bytes) -> Iterator[bytes]:
    """Messages that hold the data together."""
    for start in range(0, len(data), _PART):
        yield packed(kind, data[start : start + _PART])
