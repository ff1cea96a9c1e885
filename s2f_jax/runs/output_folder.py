"""A folder that a command writes: whole or not at all."""

import contextlib
import os
import uuid
from collections.abc import Iterator

from etils import epath

from data_pipelines.common import files
from data_pipelines.common.errors import UserError


def require_empty_output_dir(output: epath.PathLike) -> epath.Path:
    """Resolves --output of a command that writes a folder.

    Args:
      output: Not there yet, or an empty folder.

    Returns:
      The folder's absolute path.

    Raises:
      UserError: The path is a file, a folder that is not empty, or remote.
    """
    if not os.fspath(output):
        raise UserError("--output= is empty: give a folder that is not there yet")
    if files.is_remote(output):
        raise UserError(f"--output={output} is remote: give a local folder, and copy it then")
    target = epath.Path(output).resolve()
    if target.exists() and not target.is_dir():
        raise UserError(f"--output={output} is a file: give a folder that is not there yet")
    if target.exists() and any(target.iterdir()):
        raise UserError(f"--output={output} is not empty: give a folder that is not there yet")
    return target


@contextlib.contextmanager
def atomic_directory(target: epath.Path, flag: str = "output") -> Iterator[epath.Path]:
    """Makes a folder to write into, which is renamed to `target` once all is there.

    Args:
      target: The folder to be.
      flag: The flag that names it, for messages.

    Yields:
      The folder to write into; nothing is left of it if anything fails.

    Raises:
      UserError: The folder cannot be made.
    """
    # As much of the name as always leaves room in the system's 255 bytes.
    part = target.parent / f".{target.name[:40]}.{uuid.uuid4().hex[:8]}.part"
    made: list[epath.Path] = []
    try:
        with _explained(f"--{flag}={target}"):
            with contextlib.suppress(FileNotFoundError):
                os.lstat(part)  # Too long a name, before folders are made for it.
            for folder in (*reversed(part.parents), part):  # Python's own way recurses.
                if not folder.exists():
                    folder.mkdir()
                    made.append(folder)
        yield part
        with _explained(f"--{flag}={target}"):
            os.replace(part, target)
    finally:
        if part.exists():
            part.rmtree()
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # What is not empty, or gone, is as it should be.
                os.rmdir(folder)  # For what is not empty, etils' raises a ValueError.


@contextlib.contextmanager
def _explained(output: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{output} cannot be written ({error.strerror}): {files.write_cure(error)}"
        raise UserError(message) from error
