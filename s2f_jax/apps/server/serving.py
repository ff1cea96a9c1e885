"""Serving a page on a port of this machine until Ctrl-C."""

import contextlib
import errno
import os
import secrets
import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from data_pipelines.common.errors import UserError
from s2f_jax.apps.server.limits import ConnectionLimits

if TYPE_CHECKING:  # The extra `web` may be missing.
    import uvicorn
    from starlette.types import ASGIApp

_MIN_TOKEN = 12  # Characters: a shorter one could be guessed.
_BACKLOG = 128  # Connections that wait to be accepted.
_SHUTDOWN_SECONDS = 3  # That open connections have when the server ends.
MAX_MESSAGE = 1 << 18  # Bytes of one WebSocket message.


class ListenOptions(TypedDict, total=False):
    """Keyword arguments of `listen`, for functions that pass them on.

    Attributes:
      host: Host name or address to bind.
      port: Port number; 0: any free one.
      token: Token that the page demands.
      tls_certificate: PEM file for https.
      tls_key: PEM file with its key.
    """

    host: str
    port: int
    token: str | None
    tls_certificate: str | None
    tls_key: str | None


class ListenAddress(NamedTuple):
    """The socket that a page is served on.

    Attributes:
      listener: The bound socket.
      host: Host name or address, as it was given.
      port: Port number.
      token: Token that the page demands; None: none.
      tls: PEM files of the certificate and its key; None: plain http.
    """

    listener: socket.socket
    host: str
    port: int
    token: str | None
    tls: tuple[str, str] | None

    @property
    def url(self) -> str:
        """The page's address for a browser, with its token."""
        host = _own_address() if self.host in ("0.0.0.0", "::") else self.host
        host = f"[{host}]" if ":" in host else host
        query = f"?token={self.token}" if self.token else ""
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}/{query}"


def listen(
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    tls_certificate: str | None = None,
    tls_key: str | None = None,
) -> ListenAddress:
    """Binds a port for a page; the caller closes the listener.

    Args:
      host: Host name or address to bind.
      port: Port number in [0, 65535]; 0: any free one.
      token: Letters and digits that the page demands; None: a random one, unless the host is
        loopback.
      tls_certificate: PEM file for https. Browsers give no microphone to an http page of another
        machine.
      tls_key: PEM file with the certificate's key.

    Returns:
      The bound address.

    Raises:
      UserError: The extra `web` is not installed, an argument is invalid, or the port is taken.
    """
    _check_packages()
    from s2f_jax.apps.server.guard import is_loopback

    if not 0 <= port <= 65535:
        raise UserError(f"--port={port}: must be in [1, 65535], or 0 for any free port")
    if token is not None and (len(token) < _MIN_TOKEN or not token.isalnum()):
        raise UserError(
            f"--token={token}: must be at least {_MIN_TOKEN} letters and digits; leave it out to have"
            " one made"
        )
    tls = _check_tls(tls_certificate, tls_key)
    if token is None and not is_loopback(host):
        token = secrets.token_hex(16)
    listener = _bind(host, port)
    return ListenAddress(listener, host, listener.getsockname()[1], token, tls)


def serve_until_interrupted(
    app: "ASGIApp", address: ListenAddress, limits: ConnectionLimits
) -> None:
    """Prints the page's URL, the only line on standard output, and serves it.

    It returns on SIGINT or SIGTERM and closes the listener.

    Args:
      app: The application.
      address: Address at which the page is served.
      limits: Limits on open connections.
    """
    with contextlib.closing(address.listener), contextlib.suppress(KeyboardInterrupt):
        print(address.url, flush=True)
        make_server(app, address, limits).run(sockets=[address.listener])


def make_server(
    app: "ASGIApp", address: ListenAddress, limits: ConnectionLimits
) -> "uvicorn.Server":
    """Makes the uvicorn server of a page.

    Args:
      app: The application.
      address: Address at which the page is served; the listener is passed to `run`.
      limits: Limits on open connections.

    Returns:
      A server that is not running yet.
    """
    import uvicorn

    from s2f_jax.apps.server.connections import WebSocketProtocol, http_protocol

    config = uvicorn.Config(
        app,
        http=http_protocol(limits),
        ws=WebSocketProtocol,
        ws_max_size=MAX_MESSAGE,
        # Pictures do not shrink, and a small compressed message may unpack to gigabytes.
        ws_per_message_deflate=False,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        ssl_certfile=address.tls[0] if address.tls else None,
        ssl_keyfile=address.tls[1] if address.tls else None,
    )
    return uvicorn.Server(config)


def _check_packages() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"the page needs a package that is missing ({error}): pip install 's2f_jax[web]'"
        ) from error


def _bind(host: str, port: int) -> socket.socket:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise UserError(f"--host={host}: is not an address of this machine ({error})") from error
    family, _, _, _, address = infos[0]
    dual = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
    try:
        return socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=dual)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"--port={port}: is in use by another program; give another, or --port=0 for any free"
                " port"
            ) from error
        reason = os.strerror(error.errno or 0)
        raise UserError(
            f"--host={host} --port={port}: cannot be bound ({reason}); give others"
        ) from error


def _check_tls(certificate: str | None, key: str | None) -> tuple[str, str] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UserError("--tls_certificate and --tls_key belong together: give both, or neither")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one.
        raise UserError(
            f"--tls_certificate={certificate} --tls_key={key}: cannot be read ({error.strerror}); give"
            " the PEM files of a certificate and its key"
        ) from error
    return certificate, key


def _own_address() -> str:
    """Returns the address by which other machines are likely to reach this one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # A documentation address (RFC 5737).
        except OSError:
            return socket.gethostname()
        return probe.getsockname()[0]
