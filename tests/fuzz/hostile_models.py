"""Runs, bundles and the authors' files that are damaged, lie, or would do something."""

import hashlib
import io
import json
import os
import pathlib
import pickle
import shutil
import struct
import zipfile

import numpy as np
import torch
from hostile_made import DAMAGES, ODD_VALUES, Made

from tests.s2f_jax import torch_generator


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
    path = _one(folder, rng)
    damage = DAMAGES[sorted(DAMAGES)[rng.integers(len(DAMAGES))]]
    path.write_bytes(damage(path.read_bytes(), rng))


def file_is_a_folder(folder, rng):
    path = _one(folder, rng)
    path.unlink()
    path.mkdir()


def file_is_a_loop(folder, rng):
    path = _one(folder, rng)
    path.unlink()
    path.symlink_to(path.name)


def file_is_a_pipe(folder, rng):
    path = _one(folder, rng)
    path.unlink()
    os.mkfifo(path)


def file_is_endless(folder, rng):
    path = _one(folder, rng)
    path.unlink()
    path.symlink_to("/dev/zero")


def _one(folder, rng):
    every = files(folder)
    return every[rng.integers(len(every))]


_ANY_FOLDER = (lost_file, damaged_file, damaged_file, file_is_a_folder, file_is_a_loop)
_ANY_FOLDER = (*_ANY_FOLDER, file_is_a_pipe, file_is_endless)


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
    path = folder / "model.safetensors"
    damage = DAMAGES[sorted(DAMAGES)[rng.integers(len(DAMAGES))]]
    path.write_bytes(damage(path.read_bytes(), rng))


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
        target.mkdir()
    elif kind == 1:
        target.write_bytes(b"weights")
    elif kind == 2:
        target.symlink_to(target.name)
    elif kind == 3:
        os.mkfifo(target)
    elif kind == 4:
        target.symlink_to("/dev/zero")
    elif kind == 5:
        (target / "checkpoints").mkdir(parents=True)
    elif kind == 6:
        (target / "checkpoints" / "7").mkdir(parents=True)
        target = target / "checkpoints" / "7"
    value = "" if kind == 7 and rng.random() < 0.3 else str(target)
    return Made(value, False, "model" if value else "--checkpoint", f"no_model {kind}")


# The authors' files.


class Evil:
    """Whoever loads it runs `call(*arguments)`."""

    def __init__(self, call, *arguments):
        self.reduced = call, arguments

    def __reduce__(self):
        return self.reduced


def _evils(canary):
    touch = f"touch '{canary}'"
    opened = f"open({str(canary)!r}, 'w').close()"
    return (
        Evil(os.system, touch),
        Evil(eval, opened),
        Evil(exec, opened),
        Evil(os.mkdir, str(canary)),
        Evil(open, str(canary), "w"),
        Evil(getattr, os.path.join, "__globals__"),
        Evil(__import__, "antigravity"),
        Evil(torch.load, str(canary)),
        Evil(np.load, str(canary)),
        Evil(pathlib.Path.touch, pathlib.Path(canary)),
        Evil(np.memmap, str(canary), "u1", "w+", 0, (9,)),
    )


def _laughs(kind=list):
    """Small in a pickle, 2^60 elements to whoever goes through it."""
    value = kind(["ha"])
    for _ in range(60):
        value = kind([value, value])
    return value


def sda_evil(rng, folder, materials):
    """A pickle that would run a command, which leaves a mark."""
    canary = folder / "canary"
    evils = _evils(canary)
    evil = evils[rng.integers(len(evils))]
    good = torch_generator.contents()
    key = ("video_rate", "encoder", "mean_face", "more")[rng.integers(4)]
    places = (
        evil,
        good | {key: evil},
        good | {"encoder": dict(good["encoder"]) | {"rnn.bias_ih_l0": evil}},
        good | {"more": [{"deep": (evil,)}]},
        good | {"mean_face": np.array([evil], dtype=object)},
    )
    contents, path = places[rng.integers(len(places))], folder / "evil.dat"
    kind = int(rng.integers(5))
    if kind == 0:
        torch_generator.save(contents, path)
    elif kind == 1:
        torch.save(contents, path)
    elif kind == 2:
        torch_generator.save(contents, path, pickle_protocol=4)
    elif kind == 3:
        path.write_bytes(pickle.dumps(evil, protocol=int(rng.integers(6))))
    else:  # After what begins like a file of PyTorch's.
        magic = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
        path.write_bytes(magic + pickle.dumps(evil, protocol=int(rng.integers(6))))
    return Made(str(path), False, path.name, f"sda_evil {kind} {evil.reduced[0]}")


def sda_opcodes(rng, folder, materials):
    """Pickles that no Python program writes."""
    canary, path = folder / "canary", folder / "opcodes.dat"
    command = f"touch {canary}".encode()
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1001, protocol=2)
    magic += pickle.dumps({"protocol_version": 1001, "little_endian": True}, protocol=2)
    bodies = (
        b"cos\nsystem\n(S'" + command + b"'\ntR.",
        b"(S'" + command + b"'\nios\nsystem\n.",
        b"\x80\x02cposix\nsystem\nq\x00X" + struct.pack("<I", len(command)) + command + b"\x85R.",
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c"
        + bytes([len(command)])
        + command
        + b"\x94\x85\x94R\x94.",
        b"\x80\x04ccollections\nOrderedDict\n)R\x8c\x02os\x8c\x06system\x93b.",
        b"\x80\x02cnumpy\ndtype\nX\x01\x00\x00\x00O\x85R.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00zlib\x86R.",
        b"\x80\x02\x8d" + struct.pack("<Q", 2**62) + b"a.",
        b"\x80\x02\x8b" + struct.pack("<I", 2**31 - 1) + b"a.",
        b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"a.",
        b"\x80\x02\x82\x01.",
        b"\x80\x05\x97.",
        b"\x80\x02" + b"(" * 60_000 + b".",
        b"\x80\x02" + b"]" * 30_000 + b"a" * 29_999 + b".",
        b"\x80\x02N" + b"\x85" * 90_000 + b".",
        b"\x80\xff.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR.",
        b"\x80\x02X\x07\x00\x00\x00storageQ.",
        b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
        b"X\x03\x00\x00\x00cpu\x8a\x08" + struct.pack("<q", 2**50) + b"NtQ.",
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x80\x02j\xff\xff\xff\xff.",
        b"\x80\x02N" + b"r\xff\xff\xff\x7f" + b".",
    )
    number = int(rng.integers(len(bodies)))
    body = bodies[number]
    kind = int(rng.integers(3))
    if kind == 2:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", body)
            archive.writestr("a/version", b"3\n")
            archive.writestr("a/data/0", bytes(64))
    else:
        path.write_bytes(body if kind == 0 else magic + body)
    return Made(str(path), False, path.name, f"sda_opcodes {number} {kind}")


def sda_header(rng, folder, materials):
    """What it says of itself is wrong."""
    good, path = torch_generator.contents(), folder / "header.dat"
    key = [name for name in good if name != "mean_face"][rng.integers(len(good) - 1)]
    values = (*ODD_VALUES, _laughs(), _laughs(tuple), {"a": _laughs()}, torch.zeros(3), (16, 12))
    value = values[rng.integers(len(values))]
    contents = good | {key: value}
    if rng.random() < 0.2:
        contents.pop(key)
    if rng.random() < 0.1:
        contents = values[rng.integers(len(values))]
    torch_generator.save(contents, path)
    return Made(str(path), None, path.name, f"sda_header {key}")


def _tensors(rng):
    whole = torch.arange(8.0)
    every = (
        *(torch.zeros(0), torch.zeros(3), torch.zeros(1).expand(1 << 40), torch.zeros(8).int()),
        *(
            torch.full((8,), np.nan),
            torch.full((8,), np.inf),
            torch.zeros(8, dtype=torch.complex64),
        ),
        *(torch.zeros(8).bfloat16(), torch.zeros(8).half(), torch.zeros(8).double(), whole[::2]),
        *(
            torch.eye(8).to_sparse(),
            torch.zeros(8, device="meta"),
            torch.tensor(1.0),
            "eight",
            None,
        ),
        *(torch.nn.Parameter(whole), {"nested": whole}, _laughs(), whole.requires_grad_(), -whole),
    )
    return every[rng.integers(len(every))]


def sda_tensors(rng, folder, materials):
    """One is missing, one too many, or of another kind."""
    contents, path = torch_generator.contents(), folder / "tensors.dat"
    state = contents[("encoder", "encoder_id", "generator")[rng.integers(3)]]
    name = list(state)[rng.integers(len(state))]
    kind = int(rng.integers(4))
    if kind == 0:
        del state[name]
    elif kind == 1:
        keys = ("more", "", 3, None, (1, 2), "a\nb\x1b[31m", "n" * 5000, "rnn..num_batches_tracked")
        state[keys[rng.integers(len(keys))]] = _tensors(rng)
    else:
        state[name] = _tensors(rng)
    save = torch_generator.save if rng.random() < 0.5 else torch.save
    save(contents, path)
    return Made(str(path), False, path.name, f"sda_tensors {kind} {name}")


def sda_damaged(rng, folder, materials):
    """A good file that is damaged."""
    path, encoded = folder / "damaged.dat", io.BytesIO()
    torch.save(
        torch_generator.contents(counts=bool(rng.integers(2))),
        encoded,
        _use_new_zipfile_serialization=bool(rng.integers(2)),
    )
    name = sorted(DAMAGES)[rng.integers(len(DAMAGES))]
    data = encoded.getvalue()
    if name == "flipped" and rng.random() < 0.5:  # Where the names and sizes are.
        path.write_bytes(DAMAGES[name](data[:9000], rng) + data[9000:])
    else:
        path.write_bytes(DAMAGES[name](data, rng))
    return Made(str(path), None, path.name, f"sda_damaged {name}")


def sda_other(rng, folder, materials):
    """A file of another kind."""
    path, kind = folder / "other.dat", int(rng.integers(9))
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 221179358\n"
    if kind == 0:
        path.write_bytes(pointer % (b"0" * 64))
    elif kind == 1:
        path.write_bytes(b"")
    elif kind == 2:
        path.write_bytes(rng.bytes(5000))
    elif kind == 3:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/data.pkl", bytes(50_000_000))
    elif kind == 4:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../../a/data.pkl", pickle.dumps({}))
    elif kind == 5:
        path.mkdir()
    elif kind == 6:
        os.mkfifo(path)
    elif kind == 7:
        path.symlink_to("/dev/zero")
    else:
        path.symlink_to(path.name)
    return Made(str(path), False, path.name, f"sda_other {kind}")


def sda_good(rng, folder, materials):
    path = folder / "grid.dat"
    contents = torch_generator.contents(
        rate=int((50000, 16000, 48000)[rng.integers(3)]),
        fps=int((25, 30)[rng.integers(2)]),
        mean_face=bool(rng.integers(2)),
        counts=bool(rng.integers(2)),
    )
    (torch_generator.save if rng.random() < 0.5 else torch.save)(contents, path)
    return Made(str(path), True, path.name, "sda_good")


RUNS = {"run": run, "run_nan": run_nan, "no_model": no_model}
MODELS = {"run": run, "bundle": bundle, "no_model": no_model, "run_nan": run_nan}
SDA_FILES = {
    "sda_evil": sda_evil,
    "sda_opcodes": sda_opcodes,
    "sda_header": sda_header,
    "sda_tensors": sda_tensors,
    "sda_damaged": sda_damaged,
    "sda_other": sda_other,
}
