"""Connections that ask for nothing, or read nothing, on a server of a trivial application."""

import asyncio
import base64
import contextlib
import http.client
import socket
import threading
import time

import pytest

from s2f_jax.apps.server import connections, serving
from s2f_jax.apps.server.limits import ConnectionLimits


async def application(scope, receive, send):
    """Greets at /; holds /held open; sends a socket much."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        for _ in range(20):
            with contextlib.suppress(TimeoutError):
                message = {"type": "websocket.send", "bytes": bytes(1 << 20)}
                await asyncio.wait_for(send(message), 0.02)
    elif scope["type"] == "http":
        if scope["path"] == "/held":
            while (await receive())["type"] != "http.disconnect":
                pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


@contextlib.contextmanager
def serve(most=40, each=30, seconds=10):
    """The port, and the connections that the server knows."""
    address = serving.listen("127.0.0.1", 0)
    server = serving.make_server(application, address, ConnectionLimits(most, each, seconds))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [address.listener]})
    thread.start()
    try:
        yield address.port, server.server_state.connections
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)
        address.listener.close()


def ask(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port, 10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def opened(stack, port, sent=b""):
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
    connection.sendall(sent)
    return connection


def wait_until(true):
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


HEAD = b"GET /held HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET", HEAD, b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET"])
def test_who_does_not_ask_is_cut_off(sent):
    with serve(seconds=1) as (port, _), contextlib.ExitStack() as stack:
        connection = opened(stack, port, sent)
        begun = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(1000):
                pass
        assert 0.5 < time.monotonic() - begun < 4


def test_a_drop_at_a_time_is_no_question():
    with serve(seconds=1) as (port, known), contextlib.ExitStack() as stack:
        connection = opened(stack, port, HEAD)
        with pytest.raises(OSError, match=r"reset|pipe"):
            for _ in range(40):
                connection.sendall(b"x: y\r\n")
                time.sleep(0.1)
        assert not known


def test_who_waits_for_an_answer_is_not_cut_off():
    with serve(seconds=1) as (port, _), contextlib.ExitStack() as stack:
        connection = opened(stack, port, HEAD + b"\r\n")
        connection.settimeout(2.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_any_number_of_the_silent_keep_nobody_out():
    with serve() as (port, known), contextlib.ExitStack() as stack:
        for _ in range(100):
            opened(stack, port)
        assert ask(port) == (200, "hello")
        assert len(known) <= 31


def test_who_is_one_too_many_is_told_so_in_a_sentence():
    with serve(most=8, each=5) as (port, known), contextlib.ExitStack() as stack:
        for _ in range(5):
            opened(stack, port, HEAD + b"\r\n")
        status, reply = ask(port)
        assert status == 503 and "too many from your address: try again" in reply
        stack.close()
        wait_until(lambda: not known)
        assert ask(port) == (200, "hello")


def test_a_socket_that_is_not_read_ends_with_its_session(monkeypatch):
    monkeypatch.setattr(connections, "_CLOSE_SECONDS", 1)
    with serve() as (port, known), contextlib.ExitStack() as stack:
        key = base64.b64encode(bytes(16))
        opened(
            stack,
            port,
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n",
        )
        wait_until(lambda: known)
        wait_until(lambda: not known)
