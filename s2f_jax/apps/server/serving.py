"""A page at a port of this machine, until Ctrl-C."""

import contextlib
import errno
import os
import secrets
import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple

from data_pipelines.common.errors import UserError

if TYPE_CHECKING:  # The extra `web` may be missing.
    import uvicorn

    from s2f_jax.apps.server.connections import Crowd

_LEAST_TOKEN = 12  # Characters: one that is guessed is none.
_MOST_WAITING = 128  # Connections that nobody has accepted yet.
_GRACE = 3  # Seconds that visitors have when the server ends.
MESSAGE = 1 << 18  # Bytes that one message on a socket has at most.


class ListenAddress(NamedTuple):
    """Where a page is."""

    listener: socket.socket
    host: str  # As it was asked for.
    port: int
    token: str | None  # That it demands.
    tls: tuple[str, str] | None  # Files: certificates, key.

    @property
    def address(self) -> str:
        """For a browser."""
        host = _outgoing() if self.host in ("0.0.0.0", "::") else self.host
        host = f"[{host}]" if ":" in host else host
        query = f"?token={self.token}" if self.token else ""
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}/{query}"


def listen(
    host: str, port: int, token: str | None, certificate: str | None, key: str | None
) -> ListenAddress:
    """Takes the port; 0: any that is free. Unless it is loopback, a token is made where none is
    given.

    certificate, key: PEM files for https, without which browsers give no microphone to a page of
    another machine.
    Raises UserError where there can be no such page.
    """
    from s2f_jax.apps.server.guard import is_loopback

    if not 0 <= port <= 65535:
        raise UserError(f"--port={port} is none: give 1 to 65535, or 0 for any that is free")
    if token is not None and (len(token) < _LEAST_TOKEN or not token.isalnum()):
        raise UserError(
            f"--token={token} is too easily guessed, or not of letters and digits alone: give"
            f" {_LEAST_TOKEN} or more, or leave it out to have one made"
        )
    tls = _checked(certificate, key)
    if token is None and not is_loopback(host):
        token = secrets.token_hex(16)
    listener = _bound(host, port)
    return ListenAddress(listener, host, listener.getsockname()[1], token, tls)


def check_packages() -> None:
    """Raises UserError where the extra `web` is not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"the page needs a package that is missing ({error}): pip install 's2f_jax[web]'"
        ) from error


def serve_until_interrupted(app, place: ListenAddress, crowd: "Crowd") -> None:
    """Serves an application until SIGINT or SIGTERM."""
    with contextlib.closing(place.listener), contextlib.suppress(KeyboardInterrupt):
        server(app, place, crowd).run(sockets=[place.listener])


def server(app, place: ListenAddress, crowd: "Crowd") -> "uvicorn.Server":
    """What `run` runs."""
    import uvicorn

    from s2f_jax.apps.server.connections import Socket, visitors

    config = uvicorn.Config(
        app,
        http=visitors(crowd),
        ws=Socket,
        ws_max_size=MESSAGE,
        ws_per_message_deflate=False,  # Pictures do not shrink, and what unfolds may be endless.
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
        ssl_certfile=place.tls[0] if place.tls else None,
        ssl_keyfile=place.tls[1] if place.tls else None,
    )
    return uvicorn.Server(config)


def _bound(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise UserError(f"--host={host} is no address of this machine ({error})") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # Elsewhere it would let two programs have one port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_MOST_WAITING)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"--port={port} is taken by another program: give another, or --port=0 for any that"
                " is free"
            ) from error
        raise UserError(
            f"--host={host} --port={port} cannot be listened on ({error.strerror}): give others"
        ) from error
    return listener


def _checked(certificate: str | None, key: str | None) -> tuple[str, str] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UserError("--tls_certificate and --tls_key go together: give both, or none for http")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except OSError as error:  # Those of ssl are.
        raise UserError(
            f"--tls_certificate={certificate} --tls_key={key} cannot be used ({error.strerror}): give"
            " PEM files that belong together"
        ) from error
    return certificate, key


def _outgoing() -> str:
    """The address of this machine that others are likely to reach it by; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # Of a block that is for examples.
        except OSError:
            return socket.gethostname()
        return probe.getsockname()[0]
