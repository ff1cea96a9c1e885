"""The file format of the authors' checkpoints: PyTorch's `torch.save`, legacy (before 1.6) or zip.

A pickle is a program. Before PyTorch opens a file, its pickles are disassembled, not run, and every
global that they refer to is checked against an allowlist of what weights need; what runs then is
PyTorch's own loader with `weights_only`.
"""

import collections
import io
import os
import pickle
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np
from numpy._core.multiarray import _reconstruct  # NumPy's pickles call it.

from data_pipelines.common import files
from data_pipelines.common.errors import UserError

STATE_DICTS = ("encoder", "encoder_id", "generator")  # The keys whose values hold tensors.

# A legacy file is five pickles, this magic number first; then protocol version, system information,
# contents, and storage keys. The storages' raw bytes follow.
_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
_PICKLES = 5
_ZIP = b"PK\x03\x04"  # Begins a zip file, the format since 1.6.
_GIT_LFS = b"version https://git-lfs"
# Limit of memoized tuples that a pickle refers to again. If each holds the previous one twice, hashing
# the last as a dictionary key visits 2**n of them; weights refer to none again.
_MAX_TUPLE_REUSES = 20
_MAX_OPCODES = 100_000  # Of a pickle; a generator takes some thousands.

# What rebuilds an array, in NumPy 1 and in NumPy 2.
_REBUILD = "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"
_ALLOWED_GLOBALS = {
    *_REBUILD,
    "numpy.ndarray",
    "numpy.dtype",
    "_codecs.encode",
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    *(f"torch.{kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16")),
    *(f"torch.{kind}Storage" for kind in ("Long", "Int", "Short", "Char", "Byte", "Bool")),
}
_HINT = "give a .dat file that the authors released"


def read_sda(path: str | os.PathLike) -> Any:
    """Reads a checkpoint of the authors' without running anything that it brings along.

    Args:
      path: The .dat file.

    Returns:
      The saved object; in a dictionary, the tensors under STATE_DICTS are NumPy arrays where NumPy has
      their type.

    Raises:
      UserError: The file cannot be read, is not PyTorch's, is damaged, or refers to a global that
        weights do not need; nothing of it has run then.
    """
    try:
        with open(path, "rb") as file:
            _check(path, file)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {_HINT}") from error
    except (ValueError, OverflowError, RuntimeError, zipfile.BadZipFile) as error:
        raise UserError(_damage(path, error)) from error
    torch = _torch()
    dtypes = [type(np.dtype(code)) for code in ("f2", "f4", "f8", "i4", "i8")]
    rebuild = [(_reconstruct, name) for name in _REBUILD]
    try:
        with torch.serialization.safe_globals([*rebuild, np.ndarray, np.dtype, *dtypes]):
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises any type.
        raise UserError(_damage(path, error)) from error
    if not isinstance(contents, dict):
        return contents

    def to_numpy(value: Any) -> Any:
        plain = isinstance(value, torch.Tensor) and value.layout == torch.strided
        return value.detach().numpy() if plain and value.dtype != torch.bfloat16 else value

    states = {
        key: {name: to_numpy(value) for name, value in contents[key].items()}
        for key in STATE_DICTS
        if isinstance(contents.get(key), dict)
    }
    return contents | states


def write_sda(path: str | os.PathLike, contents: Mapping[str, Any]) -> None:
    """Writes a checkpoint in the legacy format, which every PyTorch reads, atomically.

    Args:
      path: The .dat file.
      contents: The saved dictionary; arrays under STATE_DICTS become tensors.

    Raises:
      UserError: PyTorch is not installed, or the file cannot be written.
    """
    torch, encoded = _torch(), io.BytesIO()
    states = {
        key: collections.OrderedDict(
            (name, torch.from_numpy(np.array(array, order="C")))
            for name, array in contents[key].items()
        )
        for key in STATE_DICTS
    }
    torch.save({**contents, **states}, encoded, _use_new_zipfile_serialization=False)
    # NumPy 1, which the authors' code runs with, has no numpy._core; NumPy 2 has both names.
    old, new = (f"c{name.rpartition('.')[0]}\n".encode() for name in _REBUILD)
    files.write_atomically(path, encoded.getvalue().replace(new, old, 1))


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"`convert` needs PyTorch, which is not installed ({error}): pip install 's2f_jax[sda]'"
        ) from error
    return torch


def _damage(path: str | os.PathLike, error: Exception) -> str:
    reason = (str(error) or type(error).__name__).splitlines()[0][:120]
    return f"{path} is damaged or truncated ({reason}): download it again"


def _check(path: str | os.PathLike, file: io.BufferedReader) -> None:
    # UserError unless it is PyTorch's and refers to allowed globals only; ValueError and others if it
    # is damaged.
    head = file.read(len(_GIT_LFS))
    file.seek(0)
    if not head:
        raise UserError(f"{path} is empty (0 bytes): download it again")
    if head == _GIT_LFS:
        raise UserError(
            f"{path} is a Git-LFS pointer of {os.path.getsize(path)} bytes, not the weights: run"
            " `git lfs pull` in the clone it comes from, or download the file itself"
        )
    if head.startswith(_ZIP):
        _check_globals(path, _zipped_pickle(path, file))
        return
    if head.startswith(_MAGIC[:1]):  # Any pickle, so that hostile globals are named.
        for _ in range(_PICKLES):
            _check_globals(path, file)
            if not file.peek(1):
                break
    if not head.startswith(_MAGIC):
        raise UserError(f"{path} is not a PyTorch file: {_HINT}")


def _zipped_pickle(path: str | os.PathLike, file: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(file)
    entries = archive.infolist()
    pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
    # PyTorch does not compress, and stored entries cannot expand into gigabytes.
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if len(pickles) != 1 or not stored:
        raise UserError(f"{path} is a zip file, but not a PyTorch file: {_HINT}")
    return archive.open(pickles[0])


def _check_globals(path: str | os.PathLike, pickled: IO[bytes]) -> None:
    refused = set(_referenced_globals(pickled)) - _ALLOWED_GLOBALS
    if refused := sorted(refused, key=lambda name: (name.split()[0] in _ALLOWED_GLOBALS, name)):
        raise UserError(
            f"{path} was not loaded: it refers to {', '.join(refused[:5])}, which weights do not need"
            f" and which could run any code; {_HINT}"
        )


def _referenced_globals(pickled: IO[bytes]) -> Iterator[str]:
    # Those that the file's next pickle would import; ValueError for one that no weights need.
    strings, memo = ["", ""], []  # The last two strings, and the memoized ones.
    previous, tuples, reuses = "", set(), 0
    for count, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
        if count >= _MAX_OPCODES:
            raise ValueError(f"a pickle of more than {_MAX_OPCODES} opcodes")
        if "PUT" in opcode.name and "TUPLE" in previous:
            tuples.add(argument)
        reuses += "GET" in opcode.name and argument in tuples
        if reuses > _MAX_TUPLE_REUSES:
            raise ValueError("a pickle of nested tuples that expand exponentially")
        previous = opcode.name
        if opcode.name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":
            # Always refused: its operands can be hidden from this scan.
            yield ".".join(strings) + " (from the stack)"
        elif opcode.name == "MEMOIZE":
            memo.append(strings[1])
        elif opcode.name in ("BINGET", "LONG_BINGET") and int(argument or 0) < len(memo):
            strings = [strings[1], memo[int(argument or 0)]]
        elif opcode.name.startswith("EXT"):
            yield f"extension {argument}"
        elif "UNICODE" in opcode.name:
            strings = [strings[1], str(argument)]
