"""The file format of the authors' checkpoints: PyTorch's `torch.save`, of before version 1.6 or since.

A pickle is a program. Before PyTorch opens a file, every name in its pickles is held against the few
that weights need, and none of them runs; what runs then is PyTorch's own loader of weights alone.
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
from numpy._core.multiarray import _reconstruct  # Which numpy's pickles call.

from data_pipelines.common import files
from data_pipelines.common.errors import UserError

STATES = ("encoder", "encoder_id", "generator")  # The keys whose values hold tensors.

_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)  # Begins a file of before 1.6;
_PICKLES = 5  # then come its version, the system, the contents, and the names of the storages.
_ZIP = b"PK\x03\x04"  # Begins a file of since then.
_GIT_LFS = b"version https://git-lfs"
# That a pickle takes again. Each may hold the one before twice, and a dictionary that has the last
# for a key goes through all of them; weights take none again.
_MOST_TUPLES = 20
_MOST_STEPS = 100_000  # Of a pickle; a generator takes some thousands.

# What rebuilds an array, at numpy 1's place and at numpy 2's.
_REBUILD = "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"
_ALLOWED = {
    *_REBUILD,
    "numpy.ndarray",
    "numpy.dtype",
    "_codecs.encode",
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    *(f"torch.{kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16")),
    *(f"torch.{kind}Storage" for kind in ("Long", "Int", "Short", "Char", "Byte", "Bool")),
}
_CURE = "give a .dat file as the authors released it"


def read_sda(path: str | os.PathLike) -> Any:
    """What was saved, the tensors of its STATES as numpy arrays where numpy has their type.

    Raises UserError for a file that is none of PyTorch's, is damaged, or names anything that weights
    do not need; nothing of it has run then.
    """
    try:
        with open(path, "rb") as file:
            _check(path, file)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {_CURE}") from error
    except (ValueError, OverflowError, RuntimeError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    torch = _torch()
    numbers = [type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8")]
    rebuild = [(_reconstruct, name) for name in _REBUILD]
    try:
        with torch.serialization.safe_globals([*rebuild, np.ndarray, np.dtype, *numbers]):
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises every kind.
        raise _damaged(path, error) from error
    if not isinstance(contents, dict):
        return contents

    def array(value: Any) -> Any:
        plain = isinstance(value, torch.Tensor) and value.layout == torch.strided
        return value.detach().numpy() if plain and value.dtype != torch.bfloat16 else value

    states = {
        key: {name: array(value) for name, value in contents[key].items()}
        for key in STATES
        if isinstance(contents.get(key), dict)
    }
    return contents | states


def write_sda(path: str | os.PathLike, contents: Mapping[str, Any]) -> None:
    """The arrays of its STATES as tensors, in the format that every PyTorch reads. Appears whole or
    not at all.

    Raises UserError where the file cannot be written there.
    """
    torch, encoded = _torch(), io.BytesIO()
    states = {
        key: collections.OrderedDict(
            (name, torch.from_numpy(np.array(array, order="C")))
            for name, array in contents[key].items()
        )
        for key in STATES
    }
    torch.save({**contents, **states}, encoded, _use_new_zipfile_serialization=False)
    # numpy 1, which the authors' code is run with, knows no numpy._core; numpy 2 knows both.
    old, new = (f"c{name.rpartition('.')[0]}\n".encode() for name in _REBUILD)
    files.write_atomically(path, encoded.getvalue().replace(new, old, 1))


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"`convert` reads and writes PyTorch's files, and PyTorch is not installed ({error}):"
            " pip install 's2f_jax[sda]'"
        ) from error
    return torch


def _damaged(path: str | os.PathLike, error: Exception) -> UserError:
    reason = (str(error) or type(error).__name__).splitlines()[0][:120]
    return UserError(f"{path} is damaged, or breaks off in the middle ({reason}): fetch it again")


def _check(path: str | os.PathLike, file: io.BufferedReader) -> None:
    """Raises UserError unless it is PyTorch's and names only what is allowed, ValueError and others
    where it is damaged."""
    head = file.read(len(_GIT_LFS))
    file.seek(0)
    if not head:
        raise UserError(f"{path} is empty (0 bytes): fetch it again")
    if head == _GIT_LFS:
        raise UserError(
            f"{path} is a Git-LFS pointer of {os.path.getsize(path)} bytes, not the weights: run"
            " `git lfs pull` in the clone that it is from, or download the file itself"
        )
    if head.startswith(_ZIP):
        _check_names(path, _zipped_pickle(path, file))
        return
    if head.startswith(_MAGIC[:1]):  # Pickles of any kind, so that what is hostile is named.
        for _ in range(_PICKLES):
            _check_names(path, file)
            if not file.peek(1):
                break
    if not head.startswith(_MAGIC):
        raise UserError(f"{path} is not a file of PyTorch's: {_CURE}")


def _zipped_pickle(path: str | os.PathLike, file: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(file)
    entries = archive.infolist()
    pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
    # PyTorch compresses nothing, and what is not compressed cannot unfold into gigabytes.
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if len(pickles) != 1 or not stored:
        raise UserError(f"{path} is a zip file, but not one of PyTorch's: {_CURE}")
    return archive.open(pickles[0])


def _check_names(path: str | os.PathLike, pickled: IO[bytes]) -> None:
    refused = {name for name in _names(pickled) if name not in _ALLOWED}
    if refused := sorted(refused, key=lambda name: (name.split()[0] in _ALLOWED, name)):
        raise UserError(
            f"{path} was not loaded, since it names {', '.join(refused[:5])}, which weights do not"
            f" need and which might do anything: {_CURE}"
        )


def _names(pickled: IO[bytes]) -> Iterator[str]:
    """What the next pickle of a file names to use or to call. It is read, and does not run."""
    strings, memo = ["", ""], []  # The last two, and those that are to be used again.
    before, tuples, again = "", set(), 0
    for step, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
        if step >= _MOST_STEPS:
            raise ValueError(f"a pickle of more than {_MOST_STEPS} steps")
        if "PUT" in opcode.name and "TUPLE" in before:
            tuples.add(argument)
        again += "GET" in opcode.name and argument in tuples
        if again > _MOST_TUPLES:
            raise ValueError("a pickle whose tuples hold each other")
        before = opcode.name
        if opcode.name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":  # Refused: what it takes could be hidden from us.
            yield ".".join(strings) + " (from the stack)"
        elif opcode.name == "MEMOIZE":
            memo.append(strings[1])
        elif opcode.name in ("BINGET", "LONG_BINGET") and int(argument or 0) < len(memo):
            strings = [strings[1], memo[int(argument or 0)]]
        elif opcode.name.startswith("EXT"):
            yield f"extension {argument}"
        elif "UNICODE" in opcode.name:
            strings = [strings[1], str(argument)]
