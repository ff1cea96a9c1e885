"""An output folder appears whole or not at all, with the folders above it."""

import errno
import os

import pytest
from etils import epath

from data_pipelines.common.errors import UserError
from s2f_jax.runs import output_folder


def test_the_folders_above_are_made_and_stay(tmp_path):
    target = epath.Path(tmp_path / "a/b/out")
    with output_folder.atomic_directory(target) as folder:
        (folder / "file").write_text("x")
        assert not target.exists()
    assert (tmp_path / "a/b/out/file").read_text() == "x"
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["out"]


def test_nothing_is_left_of_what_fails(tmp_path):
    with pytest.raises(KeyError), output_folder.atomic_directory(epath.Path(tmp_path / "a/out")):
        raise KeyError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("code", "cure"), [(errno.ENOSPC, "make room there"), (errno.EACCES, "give a path in a folder")]
)
def test_what_the_system_refuses_is_said_with_its_cure(tmp_path, monkeypatch, code, cure):
    def refused(*paths):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.replace", refused)
    message = rf"--study=.*out cannot be written .*: {cure}"
    with (
        pytest.raises(UserError, match=message),
        output_folder.atomic_directory(epath.Path(tmp_path / "out"), "study"),
    ):
        pass
    assert not list(tmp_path.iterdir())
