"""Files from elsewhere: resumed where they broke off, checked, and kept in the user's cache."""

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
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pathlib.Path:
    """`url` -> `path`, which appears only once its sum is right; a `.part` beside it is resumed.

    Raises:
      UserError: no network, or another file than the one that was pinned.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        _fetch(url, part, progress)
    except (OSError, urllib.error.URLError) as e:  # A reset connection is an OSError.
        kept = f"; {part} holds what came, and the same command goes on" if part.exists() else ""
        raise UserError(f"Cannot download {url} ({getattr(e, 'reason', e)}){kept}.") from e
    found = file_digest(part, algorithm)
    if found != digest:
        part.unlink()
        raise UserError(
            f"{url} has the {algorithm} sum {found} instead of {digest}; it was thrown away: run "
            "again, and if that repeats, look whether a newer file was published."
        )
    part.replace(path)
    return path


def user_cache() -> pathlib.Path:
    """The folder for what can be made or fetched again."""
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(root) / "s2f_jax"


def local_copy(folder: epath.Path, names: Callable[[str], bool]) -> epath.Path:
    """A remote folder's files of these names, copied into the user's cache unless they are there.

    Each appears there once it is whole, so that several processes can do this at once.
    """
    local = user_cache() / "shards" / hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    local.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        copy = local / file.name
        if not names(file.name) or (copy.exists() and copy.stat().st_size == file.stat().length):
            continue
        part = copy.with_name(f"{copy.name}.{uuid.uuid4().hex[:8]}.part")
        with file.open("rb") as source, part.open("wb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
        part.replace(copy)
    return epath.Path(local)


class ModelFile(NamedTuple):
    """A model's file, fetched on first use."""

    name: str
    url: str
    sha256: str
    variable: str  # Of the environment: where the file is instead.


def local_model(model: ModelFile) -> pathlib.Path | None:
    """A model's file: where the environment variable says, else in the cache; None: in neither.

    Raises:
      UserError: the variable names no file.
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


def cached_model(name: str, url: str, sha256: str, variable: str) -> pathlib.Path:
    """A Model's file; where it is not on this machine, it is fetched into the cache.

    Raises:
      UserError: it is in none of these places.
    """
    path = local_model(ModelFile(name, url, sha256, variable))
    if path is not None:
        return path
    try:
        return download(url, user_cache() / name, "sha256", sha256)
    except UserError as e:
        raise UserError(
            f"The model {name} is not on this machine and cannot be fetched: download {url} "
            f"(sha256 {sha256}) elsewhere, copy it here and set {variable} to its path."
        ) from e


def file_digest(path: pathlib.Path, algorithm: str) -> str:
    """The hexadecimal sum of a file of any size."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, algorithm).hexdigest()


def _fetch(url: str, part: pathlib.Path, progress: Callable[[int, int], None]) -> None:
    """Appends to `part` what the server still has."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as e:
        if e.code == 416 and have:  # Nothing is left to send.
            return
        raise
    with response:
        if response.status != 206:  # The server does not resume: from the beginning.
            have = 0
        total = have + int(response.headers.get("Content-Length") or 0)
        free = shutil.disk_usage(part.parent).free
        if total - have > free:
            raise OSError(f"{total - have:,} bytes to come, {free:,} free in {part.parent}")
        with part.open("ab" if have else "wb") as f:
            while chunk := response.read(_CHUNK):
                f.write(chunk)
                have += len(chunk)
                progress(have, total)
        if have < total:
            raise OSError(f"the connection closed after {have:,} of {total:,} bytes")
