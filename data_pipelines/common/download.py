"""Downloads files: resumed after an interruption, verified, and cached for the user."""

import hashlib
import os
import pathlib
import shutil
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from typing import NamedTuple

from etils import epath

from data_pipelines.common.errors import UserError

_TIMEOUT = 60  # Seconds without a byte.
_CHUNK = 1 << 20


def download(
    url: str,
    path: pathlib.Path,
    algorithm: str,
    digest: str,
    progress: Callable[[int, int], None] = lambda completed, total: None,
) -> pathlib.Path:
    """Downloads a file, unless it is there; an interrupted download is resumed.

    Args:
      url: The file's address.
      path: Path of the verified file; until it is verified, it is `path` with the suffix .part.
      algorithm: Name of the checksum in hashlib.
      digest: The expected checksum, hexadecimal.
      progress: Called with the number of bytes that are there, and of all.

    Returns:
      `path`.

    Raises:
      UserError: The download fails, or the checksum is another.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        _fetch(url, part, progress)
    except (OSError, urllib.error.URLError) as e:  # A reset connection is an OSError.
        kept = f"; {part} is kept, and the same command resumes it" if part.exists() else ""
        raise UserError(f"Cannot download {url} ({getattr(e, 'reason', e)}){kept}.") from e
    actual = file_digest(part, algorithm)
    if actual != digest:
        part.unlink()
        raise UserError(
            f"{url} has the {algorithm} checksum {actual} instead of {digest}, and was deleted: "
            "run again, and if that repeats, check whether a newer file was published."
        )
    part.replace(path)
    return path


def user_cache() -> pathlib.Path:
    """Locates the user's cache, for what can be made or fetched again.

    Returns:
      The folder, which may not exist yet.
    """
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(root) / "s2f_jax"


def local_copy(folder: epath.Path, is_wanted: Callable[[str], bool]) -> epath.Path:
    """Copies files of a remote folder into the user's cache, unless they are there.

    Each appears there once it is whole, so that several processes can do this at once.

    Args:
      folder: The remote folder.
      is_wanted: Whether to copy the file of a name.

    Returns:
      The local folder.
    """
    local = user_cache() / "shards" / hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    local.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        copy = local / file.name
        if not is_wanted(file.name):
            continue
        if copy.exists() and copy.stat().st_size == file.stat().length:
            continue
        part = copy.with_name(f"{copy.name}.{uuid.uuid4().hex[:8]}.part")
        with file.open("rb") as source, part.open("wb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
        part.replace(copy)
    return epath.Path(local)


class ModelFile(NamedTuple):
    """A model's file that is fetched on first use.

    Attributes:
      name: Name in the user's cache.
      url: Address of the file.
      sha256: Checksum of the file, hexadecimal.
      variable: Environment variable that can name another path of the file.
    """

    name: str
    url: str
    sha256: str
    variable: str


def local_model(model: ModelFile) -> pathlib.Path | None:
    """Locates a model's file: the path in its environment variable, else the cache.

    Args:
      model: The model's file.

    Returns:
      The file's path; None if it is not on this machine.

    Raises:
      UserError: The variable names no file.
    """
    if os.environ.get(model.variable):
        path = pathlib.Path(os.environ[model.variable])
        if not path.is_file():
            raise UserError(
                f"{model.variable}={path} is not a file; set it to {model.url} or unset it."
            )
        return path
    path = user_cache() / model.name
    return path if path.exists() else None


def cached_model(model: ModelFile) -> pathlib.Path:
    """Locates a model's file; fetches it into the cache if it is not on this machine.

    Args:
      model: The model's file.

    Returns:
      The file's path.

    Raises:
      UserError: The file is not on this machine and cannot be fetched.
    """
    path = local_model(model)
    if path is not None:
        return path
    try:
        return download(model.url, user_cache() / model.name, "sha256", model.sha256)
    except UserError as e:
        raise UserError(
            f"The model {model.name} is not on this machine and cannot be fetched: download"
            f" {model.url} (sha256 {model.sha256}) elsewhere, copy it here and set {model.variable}"
            " to its path."
        ) from e


def file_digest(path: pathlib.Path, algorithm: str) -> str:
    """Computes the checksum of a file of any size.

    Args:
      path: The file.
      algorithm: Name of the checksum in hashlib.

    Returns:
      The checksum, hexadecimal.
    """
    with path.open("rb") as f:
        return hashlib.file_digest(f, algorithm).hexdigest()


def _fetch(url: str, part: pathlib.Path, progress: Callable[[int, int], None]) -> None:
    # Appends to `part` what is missing of the file.
    size = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={size}-"} if size else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as e:
        e.close()  # It is a response, too, of which Python 3.14 warns where it stays open.
        if e.code == 416 and size:  # Nothing is left to send.
            return
        raise
    with response:
        if response.status != 206:  # The server cannot resume: begin anew.
            size = 0
        total = size + int(response.headers.get("Content-Length") or 0)
        free = shutil.disk_usage(part.parent).free
        if total - size > free:
            raise OSError(f"{total - size:,} bytes to come, {free:,} free in {part.parent}")
        with part.open("ab" if size else "wb") as f:
            while chunk := response.read(_CHUNK):
                f.write(chunk)
                size += len(chunk)
                progress(size, total)
        if size < total:
            raise OSError(f"the connection closed after {size:,} of {total:,} bytes")
