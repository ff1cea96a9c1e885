"""Reads and writes files that a person named: each appears whole or not at all."""

import contextlib
import csv
import errno
import io
import os
import pathlib
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from data_pipelines.common.errors import UserError, make_printable

VIDEO_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"}


def is_remote(path: str | os.PathLike) -> bool:
    """Tells whether a path is an address.

    Args:
      path: A local path or an address, such as gs://bucket/folder.

    Returns:
      True for an address.
    """
    return "://" in os.fspath(path)


def require_file(path: str | os.PathLike, kind: str, allow_pipe: bool = False) -> pathlib.Path:
    """Checks that a file can be read.

    Args:
      path: The file.
      kind: What it holds, for the message, e.g. "image".
      allow_pipe: Whether a pipe or a device, which is read once and may never end, is accepted.

    Returns:
      The path.

    Raises:
      UserError: The file cannot be read.
    """
    file = pathlib.Path(path)
    try:
        if not file.exists():
            raise UserError(f"There is no {kind} file {path}; check the path.")
        if file.is_dir():
            raise UserError(f"{path} is a folder, not an {kind} file; name a file in it.")
        if not file.is_file():
            if allow_pipe:  # Opening and closing it would end its writer.
                return file
            raise UserError(
                f"{path} is a pipe, a device or a socket, not an {kind} file; copy it to a file."
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
            f"There is no folder {make_printable(folder)}; --manual_dir should hold {layout}."
        )


def list_videos(folder: str | os.PathLike, flag: str) -> dict[str, epath.Path]:
    """Lists the video files of a folder.

    Args:
      folder: The folder; its subfolders are ignored.
      flag: The flag that named it, for the message, e.g. "--videos".

    Returns:
      {file name without suffix: path}.

    Raises:
      UserError: There is no such folder, no video in it, or two of one name.
    """
    if not epath.Path(folder).is_dir():
        raise UserError(f"{flag}={folder} is not a folder; give one with videos in it.")
    videos: dict[str, epath.Path] = {}
    for path in sorted(epath.Path(folder).iterdir()):
        if path.suffix.lower() in VIDEO_SUFFIXES:
            if path.stem in videos:
                raise UserError(
                    f"{flag}={folder} has both {videos[path.stem].name} and {path.name};"
                    " leave one video of each name."
                )
            videos[path.stem] = path
    if not videos:
        suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
        raise UserError(f"{flag}={folder} has no video in it; give a folder of {suffixes} files.")
    return videos


@contextlib.contextmanager
def explain_write_errors(target: str | os.PathLike) -> Iterator[None]:
    """Turns the system's errors within a `with` block into a UserError about a file.

    Args:
      target: The file that the block writes.

    Yields:
      Nothing.

    Raises:
      UserError: The system refused.
    """
    try:
        yield
    except OSError as e:
        raise UserError(f"Cannot write {target} ({e.strerror}); {write_cure(e)}.") from e


def write_cure(error: OSError) -> str:
    """Says what helps where the system refused to write.

    Args:
      error: What it raised.

    Returns:
      The end of a sentence.
    """
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "make room there" if full else "give a path in a folder you can write to"


class PartialFile:
    """A temporary file that becomes its target whole or not at all.

    `commit` or `discard` has to follow; `discard` after `commit` does nothing.

    Args:
      target: The file to be; a local path or an address.

    Attributes:
      target: The file to be.
      path: Path to write to: beside the target, or in the system's temporary folder if that is an
        address.

    Raises:
      UserError: The target cannot be written.
    """

    def __init__(self, target: str | os.PathLike):
        self.target, self._remote = epath.Path(target), is_remote(target)
        with explain_write_errors(target):
            if self.target.is_dir():
                raise IsADirectoryError(errno.EISDIR, "it is a folder")
            with contextlib.suppress(FileNotFoundError):
                os.stat(self.target)  # Fails for too long a name before folders are made for it.
            self.target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.gettempdir() if self._remote else self.target.parent
        # As much of the name as always leaves room in the system's 255 bytes.
        name = f".{self.target.name[:40]}.{uuid.uuid4().hex[:8]}.part"
        self.path = pathlib.Path(folder) / name

    def commit(self) -> None:
        """Lets the file appear at its target.

        Raises:
          UserError: The system refused.
        """
        with explain_write_errors(self.target):
            if self._remote:
                epath.Path(self.path).copy(self.target, overwrite=True)
            else:
                self.path.replace(self.target)

    def discard(self) -> None:
        """Deletes the temporary file, if it is still there."""
        self.path.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Writes a file that appears whole or not at all.

    Args:
      path: A local path or an address; its folder is created.
      data: The file's bytes.

    Raises:
      UserError: The file cannot be written there.
    """
    part = PartialFile(path)
    try:
        with explain_write_errors(path):
            part.path.write_bytes(data)
        part.commit()
    finally:
        part.discard()


def csv_text(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Formats dicts as CSV.

    Args:
      rows: The cells of each line by column.
      columns: The columns, of which a line may lack some.

    Returns:
      The text, with a header.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
