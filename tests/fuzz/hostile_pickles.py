"""The authors' files: damaged, lying, or pickles that would do something."""

import io
import os
import pathlib
import pickle
import struct
import zipfile

import numpy as np
import torch

from tests.fuzz.hostile_made import (
    ODD_VALUES,
    Made,
    a_folder,
    a_loop,
    a_pipe,
    damaged,
    endless,
    written,
)
from tests.s2f_jax.sda import torch_generator


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
    name, data = damaged(encoded.getvalue(), rng, head=9000, share=0.5)
    return written(path, data, None, f"sda_damaged {name}")


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
    else:
        (a_folder, a_pipe, endless, a_loop)[kind - 5](path)
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


SDA_FILES = {
    "sda_evil": sda_evil,
    "sda_opcodes": sda_opcodes,
    "sda_header": sda_header,
    "sda_tensors": sda_tensors,
    "sda_damaged": sda_damaged,
    "sda_other": sda_other,
}
