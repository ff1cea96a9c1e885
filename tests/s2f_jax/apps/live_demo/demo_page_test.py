"""The command itself: what it prints, what it refuses, how it ends."""

import signal
import socket
import sys
import urllib.error
import urllib.request

import pytest

from s2f_jax import main
from s2f_jax.bundle import shipped
from tests.programs import served


def test_it_serves_where_it_says_and_ctrl_c_ends_it(run_folder):
    with served("demo", f"--checkpoint={run_folder}") as (process, address):
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200 and b"Make a face speak" in answer.read()
        for name in ("app.js", "recorder.js", "style.css", "shared/page.css", "icon.svg"):
            with urllib.request.urlopen(address + name) as answer:
                kind = {"js": "javascript", "css": "css", "svg": "svg"}[name.split(".")[1]]
                assert kind in answer.headers["content-type"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0 and out == "" and "Traceback" not in err


def test_for_others_the_address_has_a_token(run_folder):
    with served(
        "demo", f"--checkpoint={run_folder}", "--host=0.0.0.0", "--token=abcdef0123456789"
    ) as (_, address):
        assert address.endswith("/?token=abcdef0123456789")
        port = address.split(":")[2].split("/")[0]
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/")
        with refused.value as answer:
            assert b"lacks its token" in answer.read()


@pytest.fixture
def error_of(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)

    def error_of(*flags):
        assert main.dispatch(["demo", *flags]) == 2
        assert not list(tmp_path.iterdir())
        return capsys.readouterr().err

    return error_of


def test_without_a_checkpoint_it_says_what_makes_one(error_of, tmp_path, monkeypatch):
    """In a package that no model comes with."""
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    error = error_of()
    assert "there is no checkpoint at runs/demo: make one with `make demo`" in error


def test_a_port_that_is_taken_is_told(error_of, run_folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        error = error_of(f"--checkpoint={run_folder}", f"--port={port}")
    assert error == (
        f"s2f: --port={port}: is in use by another program; give another, or --port=0 for any free port\n"
    )


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--sessions=0", "--sessions=0: must be at least 1"),
        ("--keep=/dev/null/x", "--keep=/dev/null/x: cannot be created"),
        ("--prot=1", "--prot=1: is not a flag of this command"),
        ("--checkpoint=none", "there is no checkpoint at none"),
    ],
)
def test_a_flag_that_cannot_be_is_told(error_of, flag, expected):
    assert expected in error_of("--checkpoint=x", "--port=0", flag)


def test_without_the_extra_it_says_which(error_of, run_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install 's2f_jax[web]'" in error_of(f"--checkpoint={run_folder}")
