import hashlib
import http.server
import threading

import pytest

from data_pipelines.common import download
from data_pipelines.common.errors import UserError

DATA = bytes(range(256)) * 20
SUM = hashlib.md5(DATA).hexdigest()


def model_file(url, sha256):
    return download.ModelFile("model", url, sha256, "S2F_TEST_MODEL")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves DATA: /file with ranges, /whole without, /broken half of what it promises."""

    def do_GET(self):
        first = int((self.headers.get("Range") or "bytes=0-")[6:].rstrip("-"))
        if self.path == "/whole":
            first = 0
        self.server.starts.append(first)
        if first >= len(DATA):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(DATA) - first))
        self.end_headers()
        end = first + (len(DATA) - first) // 2 if self.path == "/broken" else len(DATA)
        self.wfile.write(DATA[first:end])

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.starts = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield server
        server.shutdown()
        thread.join()


def test_an_interrupted_download_is_resumed(server, tmp_path):
    path = tmp_path / "new" / "file"
    with pytest.raises(UserError, match="2,560 of 5,120 bytes.*resumes it"):
        download.download(f"{server.url}/broken", path, "md5", SUM)
    assert not path.exists()
    seen = []
    download.download(f"{server.url}/file", path, "md5", SUM, lambda *done: seen.append(done))
    assert server.starts == [0, 2560] and seen[-1] == (5120, 5120)
    assert path.read_bytes() == DATA
    assert [file.name for file in path.parent.iterdir()] == ["file"]
    download.download(f"{server.url}/file", path, "md5", SUM)
    assert len(server.starts) == 2  # What is there is not fetched again.


def test_a_server_that_cannot_resume_starts_again(server, tmp_path):
    (tmp_path / "file.part").write_bytes(b"x" * 100)
    download.download(f"{server.url}/whole", tmp_path / "file", "md5", SUM)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_complete_part_is_only_verified(server, tmp_path):
    (tmp_path / "file.part").write_bytes(DATA)
    download.download(f"{server.url}/file", tmp_path / "file", "md5", SUM)
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_file_with_another_checksum_is_deleted(server, tmp_path):
    with pytest.raises(UserError, match=f"{SUM} instead of 1234"):
        download.download(f"{server.url}/file", tmp_path / "file", "md5", "1234")
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_fetched_only_if_it_is_not_there(server, tmp_path, monkeypatch):
    sha256 = hashlib.sha256(DATA).hexdigest()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("S2F_TEST_MODEL", raising=False)
    fetched = download.cached_model(model_file(f"{server.url}/file", sha256))
    assert fetched == tmp_path / "s2f_jax" / "model" and fetched.read_bytes() == DATA
    own = tmp_path / "own"
    monkeypatch.setenv("S2F_TEST_MODEL", str(own))
    with pytest.raises(UserError, match="S2F_TEST_MODEL=.*own is not a file"):
        download.cached_model(model_file("", sha256))
    own.write_bytes(b"mine")
    assert download.cached_model(model_file("", sha256)) == own


def test_without_network_the_message_names_what_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("S2F_TEST_MODEL", raising=False)
    url = "http://127.0.0.1:9/model"  # Nothing listens there.
    with pytest.raises(UserError, match=f"download {url} .sha256 abc. .* set S2F_TEST_MODEL"):
        download.cached_model(model_file(url, "abc"))
