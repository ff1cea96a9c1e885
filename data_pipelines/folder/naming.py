"""Names of videos and speakers that every file system takes and that depend on no other file."""

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
    """Names a video after its path, e.g. anna_take_1 after anna/take_1.mp4.

    Args:
      relative: Path of the video below the root.

    Returns:
      The name; with a hash of the path where two paths could have the same name.
    """
    path = relative.as_posix()
    bare = relative.with_suffix("").as_posix().replace("/", "_")
    return bare if _PLAIN_PATH.fullmatch(path) else f"{_slug(bare)}-{_digest(path)}"


def speaker_name(name: str) -> str:
    """Makes a speaker's name safe for file names.

    Args:
      name: The name of a folder, or from a CSV.

    Returns:
      The same name, anna, where it is safe; else one with a hash, zoë-müller-12ab34cd for Zoë
      Müller, since case and blanks are lost.
    """
    return name if _PLAIN_SPEAKER.fullmatch(name) else f"{_slug(name)}-{_digest(name)}"


def _slug(text: str) -> str:
    """Returns letters of any script, digits, "_" and "-", in lower case."""
    text = unicodedata.normalize("NFC", text.casefold())
    return re.sub(r"[^\w-]+", "-", text)[:_LENGTH].strip("-_") or "x"


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
