"""Names for files and speakers that any file system takes and that no other file can change."""

import hashlib
import os
import pathlib
import re
import unicodedata

# One folder without "_", then a file: the first "_" of the name stands for the slash, so that no
# two such paths share a name.
_PLAIN_PATH = re.compile(r"[a-z0-9-]{1,48}/[a-z0-9][a-z0-9_-]{0,47}\.mp4")
_PLAIN_SPEAKER = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
_LENGTH = 48  # Characters of a name, beside its hash.


def video_name(relative: pathlib.PurePath) -> str:
    """anna/take_1.mp4 -> anna_take_1; where that would lose something, a hash of the path too."""
    path = relative.as_posix()
    bare = relative.with_suffix("").as_posix().replace("/", "_")
    return bare if _PLAIN_PATH.fullmatch(path) else f"{_slug(bare)}-{_digest(path)}"


def speaker_name(name: str) -> str:
    """anna -> anna; Zoë Müller -> zoë-müller-12ab34cd, since case and blanks are lost."""
    return name if _PLAIN_SPEAKER.fullmatch(name) else f"{_slug(name)}-{_digest(name)}"


def shown(path: str | os.PathLike) -> str:
    """A path as a sentence can hold it: bytes that are no text are written as escapes."""
    return os.fspath(path).encode(errors="backslashreplace").decode()


def _slug(text: str) -> str:
    """Letters of any script, digits, "_" and "-", in lower case."""
    text = unicodedata.normalize("NFC", text.casefold())
    return re.sub(r"[^\w-]+", "-", text)[:_LENGTH].strip("-_") or "x"


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
