"""Files that a person named: each appears whole or not at all, and what fails is a sentence."""

import contextlib
import errno
import os
import pathlib
import tempfile
import uuid
from collections.abc import Iterator

from etils import epath

from data_pipelines.common.errors import UserError, printable

VIDEOS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"}


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path is an address, such as gs://bucket/folder."""
    return "://" in os.fspath(path)


def existing(path: str | os.PathLike, what: str, pipe: bool = False) -> pathlib.Path:
    """The path, if a file can be read there. pipe: what is read once, and may have no end, will do.

    Raises:
      UserError: it cannot.
    """
    file = pathlib.Path(path)
    try:
        if not file.exists():
            raise UserError(f"There is no {what} file {path}; check the path.")
        if file.is_dir():
            raise UserError(f"{path} is a folder, not an {what} file; name a file in it.")
        if not file.is_file():
            if pipe:  # Opened and closed, its writer would be gone.
                return file
            raise UserError(
                f"{path} is a pipe, a device or a socket, not an {what} file; copy it to a file."
            )
        with file.open("rb"):
            return file
    except OSError as e:
        raise UserError(f"Cannot read {path} ({e.strerror}); check its permissions.") from e


def require_folder(folder: pathlib.Path, layout: str) -> None:
    """Checks that a corpus's --manual_dir is a folder.

    Args:
      folder: What --manual_dir names.
      layout: What it should hold, for the message.

    Raises:
      UserError: There is no such folder.
    """
    if not folder.is_dir():
        raise UserError(
            f"There is no folder {printable(folder)}; --manual_dir should hold {layout}."
        )


def videos_in(folder: str | os.PathLike, flag: str) -> dict[str, epath.Path]:
    """Name without suffix -> video file, of a folder that the flag named.

    Raises:
      UserError: it is none, it holds no video, or two of one name.
    """
    if not epath.Path(folder).is_dir():
        raise UserError(f"{flag}={folder} is not a folder; give one with videos in it.")
    found: dict[str, epath.Path] = {}
    for path in sorted(epath.Path(folder).iterdir()):
        if path.suffix.lower() in VIDEOS:
            if path.stem in found:
                raise UserError(
                    f"{flag}={folder} has both {found[path.stem].name} and {path.name};"
                    " leave one video of each name."
                )
            found[path.stem] = path
    if not found:
        kinds = ", ".join(sorted(VIDEOS))
        raise UserError(f"{flag}={folder} has no video in it; give a folder of {kinds} files.")
    return found


@contextlib.contextmanager
def writing(target: str | os.PathLike) -> Iterator[None]:
    """Around what writes to a file that a person named.

    Raises:
      UserError: the system refused.
    """
    try:
        yield
    except OSError as e:
        full = e.errno in (errno.ENOSPC, errno.EDQUOT)
        cure = "make room there" if full else "give a path in a folder you can write to"
        raise UserError(f"Cannot write {target} ({e.strerror}); {cure}.") from e


class PartialFile:
    """A file in the making, which appears at its target whole or not at all.

    It is written at `path`: beside the target, or in the system's temporary folder where that is an
    address. `appear` or `discard` has to follow; `discard` after `appear` does nothing.

    Raises:
      UserError: there can be no file, from the beginning or when it is to appear.
    """

    def __init__(self, target: str | os.PathLike):
        self.target, self._remote = epath.Path(target), is_remote(target)
        with writing(target):
            if self.target.is_dir():
                raise IsADirectoryError(errno.EISDIR, "it is a folder")
            with contextlib.suppress(FileNotFoundError):
                os.stat(self.target)  # Too long a name, before folders are made for it.
            self.target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.gettempdir() if self._remote else self.target.parent
        # As much of the name as always leaves room in the system's 255 bytes.
        name = f".{self.target.name[:40]}.{uuid.uuid4().hex[:8]}.part"
        self.path = pathlib.Path(folder) / name

    def appear(self) -> None:
        with writing(self.target):
            if self._remote:
                epath.Path(self.path).copy(self.target, overwrite=True)
            else:
                self.path.replace(self.target)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """The bytes at `path`, where they appear whole or not at all.

    Raises:
      UserError: the file cannot be written there.
    """
    part = PartialFile(path)
    try:
        with writing(path):
            part.path.write_bytes(data)
        part.appear()
    finally:
        part.discard()
