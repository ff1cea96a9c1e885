"""Runs and bundles that are damaged, or lie."""

import hashlib
import json
import pathlib
import shutil
import struct

import numpy as np

from tests.fuzz.hostile_made import ODD_VALUES, Made, a_folder, a_loop, a_pipe, damage, endless


def files(folder):
    return sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())


def _edited(value, rng):
    """JSON with one value, at any depth, that is another, missing, or one too many."""
    if isinstance(value, dict) and value and rng.random() < 0.95:
        name = sorted(value)[rng.integers(len(value))]
        if not isinstance(value[name], dict) or rng.random() < 0.05:
            if rng.random() < 0.15:
                return {key: each for key, each in value.items() if key != name}
            return value | {name: _odd(rng)}
        return value | {name: _edited(value[name], rng)}
    return _odd(rng)


def _odd(rng):
    return ODD_VALUES[rng.integers(len(ODD_VALUES))]


def edit_json(path, rng, sections=()):
    """sections: of the keys that hold most of what matters."""
    value = json.loads(path.read_text())
    if sections and rng.random() < 0.8:
        name = sections[rng.integers(len(sections))]
        value[name] = _edited(value[name], rng)
    else:
        value = _edited(value, rng)
    path.write_text(json.dumps(value))


_TEXTS = (
    *(
        b"",
        b"null",
        b"[]",
        b"{",
        b'""',
        b"1e999",
        b'{"schema": 2}',
        b'{"schema": 2, "task": "animate"}',
    ),
    *(b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"9" * 10_000),
    *(b'{"schema": 99}', b'{"schema": "2"}', b"\x00" * 100, b"version https://git-lfs\n"),
)


def json_text(path, rng):
    path.write_bytes(_TEXTS[rng.integers(len(_TEXTS))])


def lost_file(folder, rng):
    _one(folder, rng).unlink()


def damaged_file(folder, rng):
    damage(_one(folder, rng), rng)


def _instead(make):
    """Something else where a file was."""

    def replaced(folder, rng):
        path = _one(folder, rng)
        path.unlink()
        make(path)

    replaced.__name__ = f"file_is_{make.__name__}"
    return replaced


def _one(folder, rng):
    every = files(folder)
    return every[rng.integers(len(every))]


_ANY_FOLDER = (lost_file, damaged_file, damaged_file)
_ANY_FOLDER = (*_ANY_FOLDER, *map(_instead, (a_folder, a_loop, a_pipe, endless)))


def _config_edited(folder, rng):
    edit_json(folder / "config.json", rng, ("data", "model"))


def _config_text(folder, rng):
    json_text(folder / "config.json", rng)


def _sums_edited(folder, rng):
    edit_json(next(folder.glob("checkpoints/*/sums/metadata")), rng)


def _progress_edited(folder, rng):
    path = next(folder.glob("checkpoints/*/progress/metadata"))
    (edit_json if rng.random() < 0.5 else json_text)(path, rng)


def run(rng, folder, materials):
    """A copy of the run, with something wrong in it that may or may not matter."""
    target = folder / "run"
    shutil.copytree(materials["run"], target)
    kinds = (*_ANY_FOLDER, *[_config_edited] * 8, _config_text, _config_text, _sums_edited)
    kinds = (*kinds, _progress_edited)
    kind = kinds[rng.integers(len(kinds))]
    kind(target, rng)
    return Made(str(target), None, "run", kind.__name__)


def run_nan(rng, folder, materials):
    """A run whose weights are not finite."""
    return Made(str(materials["nan_run"]), False, "nan_run", "run_nan")


# Bundles, whose sums are made to fit again: who changes a file can change its sum.


def _sum_again(folder):
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in files(folder)
        if path.name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def _header_lies(folder, rng):
    """The head of the safetensors file says what is not so of one tensor."""
    path = folder / "model.safetensors"
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    name = sorted(header)[rng.integers(len(header))]
    lies = (
        *(
            ("data_offsets", each)
            for each in ([0, 0], [-4, 4], [4, 0], [0, 2**62], [0], "ab", None)
        ),
        *(("dtype", each) for each in ("F64", "BF16", "I8", "", None, 3, "O")),
        *(("shape", each) for each in ([2**40, 2**40], [-1], [0], [], None, "8", [1.5], [True])),
    )
    key, value = lies[rng.integers(len(lies))]
    header[name][key] = value
    if rng.random() < 0.2:
        header[f"../../{name}"] = header.pop(name)
    head = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + data[8 + length :])


def _header_text(folder, rng):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    heads = (
        *(struct.pack("<Q", size) + data[8:] for size in (0, 1, 2**31, 2**63, 2**64 - 1)),
        *(struct.pack("<Q", len(text)) + text for text in _TEXTS),
        *(data[:5], b""),
    )
    path.write_bytes(heads[rng.integers(len(heads))])


def _numbers(folder, rng):
    """Some are not finite."""
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack_from("<Q", data)
    at = 8 + length + 4 * int(rng.integers(100))
    data[at : at + 4] = struct.pack("<f", (np.nan, np.inf, -np.inf)[rng.integers(3)])
    path.write_bytes(data)


def _damaged_weights(folder, rng):
    damage(folder / "model.safetensors", rng)


def _sums_text(folder, rng):
    texts = (
        b"",
        b"\xff\xfe",
        b"a  b  c\n",
        b"no sums\n",
        b"0  model.safetensors\n" * 9,
        bytes(999),
    )
    (folder / "SHA256SUMS").write_bytes(texts[rng.integers(len(texts))])


def bundle(rng, folder, materials):
    """A copy of the bundle, with something wrong in it that may or may not matter."""
    target = folder / "bundle"
    shutil.copytree(materials["bundle"], target)
    kinds = (_header_lies, _header_lies, _header_text, _numbers, _damaged_weights)
    kinds = (*kinds, *[_config_edited] * 4, _config_text)
    if rng.random() < 0.8:
        kind = kinds[rng.integers(len(kinds))]
        kind(target, rng)
        _sum_again(target)
    else:
        kinds = (*_ANY_FOLDER, _sums_text)
        kind = kinds[rng.integers(len(kinds))]
        kind(target, rng)
    return Made(str(target), None, "bundle", kind.__name__)


def no_model(rng, folder, materials):
    """Something else where a run should be."""
    target = folder / "model"
    kind = int(rng.integers(8))
    if kind == 0:
        a_folder(target)
    elif kind == 1:
        target.write_bytes(b"weights")
    elif kind == 2:
        a_loop(target)
    elif kind == 3:
        a_pipe(target)
    elif kind == 4:
        endless(target)
    elif kind == 5:
        (target / "checkpoints").mkdir(parents=True)
    elif kind == 6:
        (target / "checkpoints" / "7").mkdir(parents=True)
        target = target / "checkpoints" / "7"
    value = "" if kind == 7 and rng.random() < 0.3 else str(target)
    return Made(value, False, "model" if value else "--checkpoint", f"no_model {kind}")


RUNS = {"run": run, "run_nan": run_nan, "no_model": no_model}
MODELS = {"run": run, "bundle": bundle, "no_model": no_model, "run_nan": run_nan}
