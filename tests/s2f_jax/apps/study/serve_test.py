"""`study serve` as a command: what it prints, what it refuses, how it ends."""

import signal
import socket
import sys
import urllib.request

import pytest

from s2f_jax import main
from tests.s2f_jax.apps.study import made_up
from tests.s2f_jax.apps.study_served import served, study
from tests.s2f_jax.apps.voters import fill


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return study(tmp_path_factory.mktemp("served"))


def test_it_serves_where_it_says_and_ctrl_c_ends_it(made):
    with served(made) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        styles = "style.css", "shared/page.css"
        for name in ("", "app.js", "trial.js", *styles, "icon.svg", "withdraw.html"):
            with urllib.request.urlopen(address + name) as answer:
                assert answer.status == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")


def test_a_body_without_an_end_is_cut_off(made):
    """Of a server that would have waited for it."""
    with served(made, "--body_seconds=1") as (_, address):
        port = int(address.rsplit(":", 1)[1].strip("/"))
        head = (
            f"POST /api/vote HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Origin: http://127.0.0.1:{port}\r\nContent-Length: 999999999\r\n\r\n"
        ).encode()
        for sent, expected in ((b" " * 5000, b" 413 "), (b" ", b" 408 ")):
            with socket.create_connection(("127.0.0.1", port), 30) as connection:
                connection.sendall(head + sent)
                assert expected in connection.recv(100)


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--people=0", "--people=0: must be at least 1"),
        ("--seed=1", "--seed: is a flag of `study new`; a study cannot be changed once it is made"),
        ("--output=x", "--output=x: is not a flag of `study serve`"),
        ("--port=70000", "--port=70000: must be in [1, 65535]"),
        ("--token=abc", "--token=abc: must be at least 12 letters and digits"),
    ],
)
def test_a_flag_that_cannot_be_is_told(made, capsys, flag, expected):
    assert main.dispatch(["study", "serve", f"--study={made.folder}", flag]) == 2
    assert expected in capsys.readouterr().err
    assert not (made.folder / "x").exists()


def test_flags_of_serving_are_not_for_others(made, capsys):
    assert main.dispatch(["study", "report", f"--study={made.folder}", "--port=80"]) == 2
    assert "--port: is a flag of `study serve`\n" in capsys.readouterr().err


def test_a_video_that_was_changed_is_told(tmp_path, capsys):
    made = made_up.study(tmp_path)
    fill(made)
    assert main.dispatch(["study", "serve", f"--study={tmp_path}", "--port=0"]) == 2
    assert "is not the video that study.json was written for" in capsys.readouterr().err


def test_without_the_extra_it_says_which(made, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main.dispatch(["study", "serve", f"--study={made.folder}"]) == 2
    assert "pip install 's2f_jax[web]'" in capsys.readouterr().err
