"""Foreign, damaged and hostile files are refused in one sentence, and nothing in them runs."""

import io
import os
import pickle
import sys
import zipfile

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from s2f_jax.sda.file import _MAGIC, read_sda
from tests.s2f_jax.sda import torch_generator

torch = pytest.importorskip("torch")


class Evil:
    """Whoever loads it runs `call(*arguments)`."""

    def __init__(self, call, *arguments):
        self.reduced = call, arguments

    def __reduce__(self):
        return self.reduced


@pytest.fixture
def good():
    return torch_generator.contents(counts=True)


@pytest.fixture
def file(tmp_path, good):
    return torch_generator.save(good, tmp_path / "good.dat")


def test_arrays_and_numbers_are_read_as_they_were_saved(good, file, tmp_path):
    torch.save(good, tmp_path / "zip.dat")
    for path in (file, tmp_path / "zip.dat"):
        read = read_sda(path)
        for key, value in good.items():
            if isinstance(value, dict):
                for name, tensor in value.items():
                    np.testing.assert_array_equal(read[key][name], tensor.numpy())
            else:
                np.testing.assert_array_equal(read[key], value)


def test_pickles_of_numpy_1_are_read(file):
    data = file.read_bytes()
    assert data.count(b"cnumpy._core.multiarray\n") == 1
    file.write_bytes(data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert read_sda(file)["mean_face"].shape == (68, 2)


def legacy(value, path):
    torch_generator.save(value, path)


def zipped(value, path):
    torch.save(value, path)


def protocol_4(value, path):
    torch_generator.save(value, path, pickle_protocol=4)


def plain_pickle(value, path):
    path.write_bytes(pickle.dumps(value, protocol=2))


@pytest.mark.parametrize("save", [legacy, zipped, protocol_4, plain_pickle])
@pytest.mark.parametrize(
    ("call", "name"),
    [(os.mkdir, f"{os.name}.mkdir"), (os.system, f"{os.name}.system"), (eval, "eval")],
)
def test_code_is_named_and_does_not_run(good, tmp_path, save, call, name):
    created, path = tmp_path / "created", tmp_path / "evil.dat"
    argument = {os.mkdir: f"{created}", os.system: f"touch {created}"}.get(
        call, f"__import__('os').mkdir('{created}')"
    )
    evil = Evil(call, argument)
    encoder = dict(good["encoder"]) | {"rnn.bias_ih_l0": evil}
    for contents in (good | {"video_rate": evil}, good | {"encoder": encoder}, evil):
        save(contents, path)
        with pytest.raises(UserError, match=rf"evil\.dat was not loaded: it refers to .*{name}"):
            read_sda(path)
        assert not created.exists()
    pickle.loads(pickle.dumps(evil))
    assert created.exists()  # It would have.


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (torch.nn.Parameter(torch.zeros(2)), "torch._utils._rebuild_parameter"),
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (np.float64(25), r"numpy\._core\.multiarray\.scalar"),
        (io.BytesIO(b""), r"_io\.BytesIO"),
    ],
)
def test_globals_that_weights_do_not_need_are_named(good, tmp_path, value, name):
    path = torch_generator.save(good | {"more": value}, tmp_path / "more.dat")
    with pytest.raises(UserError, match=f"not loaded: it refers to .*{name}"):
        read_sda(path)


def test_objects_hidden_in_an_array_do_not_run(good, tmp_path):
    created = tmp_path / "created"
    array = np.array([Evil(os.mkdir, str(created))], dtype=object)
    path = torch_generator.save(good | {"mean_face": array}, tmp_path / "evil.dat")
    with pytest.raises(UserError, match="mkdir"):
        read_sda(path)
    path = torch_generator.save(good | {"mean_face": np.array([{}, 3])}, tmp_path / "odd.dat")
    with pytest.raises(UserError, match=r"odd\.dat is damaged"):
        read_sda(path)
    assert not created.exists()


POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 221179358\n"
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty (0 bytes): download it again"),
        (POINTER, "is a Git-LFS pointer of 134 bytes, not the weights: run `git lfs pull`"),
        (b"PK\x03\x04" + b"\0" * 99, "is damaged or truncated"),
        (b"\x89PNG\r\n", "is not a PyTorch file"),
        (b"\x80", "is damaged or truncated"),
        (pickle.dumps({"a": 1}), "is not a PyTorch file"),
        (pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2), "is damaged or truncated"),
    ],
)
def test_foreign_files_are_refused(tmp_path, data, message):
    path = tmp_path / "x.dat"
    path.write_bytes(data)
    with pytest.raises(UserError) as raised:
        read_sda(path)
    assert str(raised.value).startswith(f"{path} ") and message in str(raised.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.dat cannot be read \(No such file or directory\)"):
        read_sda(tmp_path / "none.dat")
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        read_sda(tmp_path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_other_zip_files_are_refused(tmp_path, compression):
    path = tmp_path / "x.dat"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a/readme.txt", b"no weights")
        if compression:  # A small file that would expand into a large one.
            archive.writestr("a/data.pkl", b"0" * 10_000_000)
    with pytest.raises(UserError, match="is a zip file, but not a PyTorch file"):
        read_sda(path)


@pytest.mark.parametrize("save", [legacy, zipped])
def test_a_file_truncated_anywhere_is_refused(good, tmp_path, save):
    whole, path = tmp_path / "whole.dat", tmp_path / "x.dat"
    save(good, whole)
    data = whole.read_bytes()
    for size in (1, 14, 15, 40, 400, 4000, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(UserError):
            read_sda(path)


# From pickletools, where a flipped byte changes a string.
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@pytest.mark.parametrize("save", [legacy, zipped])
def test_flipped_bytes_are_refused_or_harmless(good, tmp_path, save):
    whole, path = tmp_path / "whole.dat", tmp_path / "x.dat"
    save(good, whole)
    data, rng = whole.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        flipped = bytearray(data)
        for position in rng.integers(0, 6000, 3):
            flipped[position] = rng.integers(256)
        path.write_bytes(flipped)
        try:
            read_sda(path)
        except UserError:
            refused += 1
    assert refused > 20


def test_a_key_that_expands_exponentially_is_refused(tmp_path):
    key = b"".join(b"q%ch%c\x86" % (i, i) for i in range(60))  # Each a pair of the previous one.
    path = tmp_path / "x.dat"
    path.write_bytes(_MAGIC + b"\x80\x02})" + key + b"K\x01s.")
    with pytest.raises(UserError, match="a pickle of nested tuples that expand exponentially"):
        read_sda(path)


def test_an_endless_pickle_is_refused(tmp_path):
    path = tmp_path / "x.dat"
    path.write_bytes(b"\x80\x02" + b"N0" * 50_000 + b"N.")
    with pytest.raises(UserError, match="a pickle of more than 100000 opcodes"):
        read_sda(path)


def test_a_tensor_that_claims_terabytes_is_refused(good, file):
    """The length of the storage in the pickle is forged."""
    length = good["encoder"]["encoder.cl.0.weight"].numel()
    assert length == 500
    data = file.read_bytes()
    short = b"M" + length.to_bytes(2, "little")
    assert short in data
    file.write_bytes(data.replace(short, b"\x8a\x06" + (1 << 44).to_bytes(6, "little"), 1))
    with pytest.raises(UserError, match="is damaged"):
        read_sda(file)


def test_without_pytorch_the_extra_is_named(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"pip install 's2f_jax\[sda\]'"):
        read_sda(file)
