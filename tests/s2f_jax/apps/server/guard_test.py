"""Who may talk to a page: every answer has its headers, and every stranger is refused."""

import contextlib
import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from data_pipelines.common.errors import UserError
from s2f_jax.apps.server import serving
from s2f_jax.apps.server.guard import Guard

TOKEN = "abcdef0123456789"


def client(host="127.0.0.1", token=None, base="http://127.0.0.1:8000"):
    async def hello(request):
        return PlainTextResponse("hello")

    async def echo(socket):
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    routes = [Route("/", hello, methods=["GET", "POST"]), WebSocketRoute("/socket", echo)]
    app = Guard(Starlette(routes=routes), host, 8000, token)
    return TestClient(app, base_url=base, follow_redirects=False)


def talks(visitor, base, **headers):
    """Whether its socket opens."""
    try:
        with visitor.websocket_connect(f"{base}/socket", headers=headers) as connection:
            connection.send_text("hi")
            return connection.receive_text() == "hi"
    except WebSocketDenialResponse as refused:
        assert refused.status_code == 403
        assert "Content-Security-Policy" in refused.headers
        return False


def test_every_answer_has_the_headers():
    visitor = client()
    for answer in (visitor.get("/"), visitor.get("/none"), visitor.post("/")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = dict(
            part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
        )
        assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("listening", "host", "known"),
    [
        ("127.0.0.1", "127.0.0.1:8000", True),
        ("127.0.0.1", "localhost:9000", True),  # Through a tunnel.
        ("127.0.0.1", "[::1]:8000", True),
        ("127.0.0.1", "evil.example:8000", False),  # Rebound to 127.0.0.1.
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "192.168.1.5:8000", False),
        ("127.0.0.1", "localhost:8000@evil.example", False),
        ("127.0.0.1", "", False),
        ("0.0.0.0", "192.168.1.5:8000", True),
        ("0.0.0.0", f"{socket.gethostname()}:8000", True),
        ("0.0.0.0", "evil.example:8000", False),
        ("service.example", "service.example:8000", True),
    ],
)
def test_the_host_is_a_name_of_this_machine(listening, host, known):
    visitor = client(listening)
    answer = visitor.get("/", headers={"host": host})
    assert answer.status_code == (200 if known else 403)
    assert known or "use the printed address" in answer.text
    origin = {"host": host, "origin": f"http://{host}"}
    assert talks(visitor, "ws://127.0.0.1:8000", **origin) is known


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://evil.example",
        "http://127.0.0.1:3000",
        "http://localhost:8000",
        "http://127.0.0.1:8000.evil.example",
        "file://127.0.0.1:8000",
    ],
)
def test_the_origin_is_this_page(origin):
    visitor, base = client(), "ws://127.0.0.1:8000"
    assert not talks(visitor, base, origin=origin)
    assert visitor.post("/", headers={"origin": origin}).status_code == 403
    assert talks(visitor, base, origin="http://127.0.0.1:8000")
    assert visitor.post("/", headers={"origin": "http://127.0.0.1:8000"}).status_code == 200
    assert visitor.get("/").status_code == 200  # Who follows a link has none.


def test_a_token_opens_the_page_once_and_the_cookie_goes_on():
    base = "http://192.168.1.5:8000"
    visitor = client("0.0.0.0", TOKEN, base)
    origin = {"origin": base}
    assert visitor.get("/").status_code == 403 and "lacks its token" in visitor.get("/").text
    assert visitor.get("/?token=wrong").status_code == 403
    assert not talks(visitor, "ws://192.168.1.5:8000", **origin)
    answer = visitor.get(f"/?token={TOKEN}&a=1")
    assert answer.status_code == 303 and answer.headers["location"] == "/?a=1"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "s2f_8000" in cookie
    assert visitor.get("/").status_code == 200
    assert talks(visitor, "ws://192.168.1.5:8000", **origin)
    visitor.cookies.set("s2f_8000", "wrong")
    visitor.cookies.clear()
    assert not talks(visitor, "ws://192.168.1.5:8000", cookie="s2f_8000=wrong", **origin)
    assert not talks(visitor, f"ws://192.168.1.5:8000?token={TOKEN}", **origin)


def test_a_redirect_never_leads_elsewhere():
    visitor = client("0.0.0.0", TOKEN, "http://192.168.1.5:8000")
    answer = visitor.get(f"http://192.168.1.5:8000//evil.example/?token={TOKEN}")
    assert answer.headers["location"] == "/evil.example/"


@pytest.mark.parametrize("token", ["ä", "\x00", "a" * 10_000])
def test_an_odd_token_is_a_wrong_one(token):
    visitor = client("0.0.0.0", TOKEN, "http://192.168.1.5:8000")
    assert visitor.get("/", params={"token": token}).status_code == 403


def test_a_place_that_others_reach_has_a_token():
    with contextlib.ExitStack() as stack:

        def listen(*arguments):
            address = serving.listen(*arguments)
            stack.callback(address.listener.close)
            return address

        alone = listen("127.0.0.1", 0, None)
        assert alone.token is None and alone.url == f"http://127.0.0.1:{alone.port}/"
        tokens = [listen("0.0.0.0", 0, None).token for _ in range(2)]
        assert tokens[0] != tokens[1] and all(len(token) == 32 for token in tokens)
        assert listen("0.0.0.0", 0, TOKEN).url.endswith(f"/?token={TOKEN}")
        assert listen("127.0.0.1", 0, TOKEN).token == TOKEN
        in_use = f"--port={alone.port}: is in use by another program; give another, or --port=0"
        with pytest.raises(UserError, match=in_use):
            listen("127.0.0.1", alone.port, None)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("127.0.0.1", 70000, None, None, None), "--port=70000: must be in .1, 65535."),
        (
            ("127.0.0.1", 0, "short", None, None),
            "--token=short: must be at least 12 letters and digits",
        ),
        (("127.0.0.1", 0, "a&b=c d/e?f#g", None, None), "must be at least 12 letters and digits"),
        (("203.0.113.7", 0, None, None, None), "--host=203.0.113.7 --port=0: cannot be bound"),
        (("no such host", 0, None, None, None), "--host=no such host: is not an address of this"),
        (("127.0.0.1", 0, None, "c.pem", None), "--tls_certificate and --tls_key belong together"),
        (("127.0.0.1", 0, None, "c.pem", "k.pem"), "c.pem --tls_key=k.pem: cannot be read"),
    ],
)
def test_what_cannot_be_listened_on_is_told(arguments, expected):
    with pytest.raises(UserError, match=expected):
        serving.listen(*arguments)
