"""uvicorn protocols that close idle and slow connections, so that they keep nobody else out."""

import asyncio
from typing import Any

from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from s2f_jax.apps.server.limits import ConnectionLimits

_CLOSE_SECONDS = 10  # That the last bytes of a WebSocket may take to be read.

_TOO_MANY_CONNECTIONS = PlainTextResponse(
    "Too many connections are open, or too many from your address: try again in a minute.\n",
    503,
    {"Retry-After": "60", "Connection": "close"},
)


def http_protocol(limits: ConnectionLimits) -> type[H11Protocol]:
    """Makes the class that uvicorn instantiates for each connection.

    Args:
      limits: Limits on open connections, and on their time without a request.

    Returns:
      A protocol class for `uvicorn.Config(http=...)`.
    """

    class HTTPProtocol(_LimitedHTTPProtocol):
        bounds = limits

    return HTTPProtocol


class _LimitedHTTPProtocol(H11Protocol):
    """Is closed when it takes too long to send a request.

    When connections run out, one without a request gives way to a new one: the oldest first, of the
    same address if that has too many.
    """

    bounds: ConnectionLimits
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        # uvicorn's own limit counts all connections and answers with another text.
        self.limit_concurrency = None
        other = [connection for connection in self.connections if connection is not self]
        same_address = [one for one in other if _client_host(one) == _client_host(self)]
        if len(same_address) >= self.bounds.per_address:
            full = not _close_oldest_idle(same_address)
        else:
            full = len(other) >= self.bounds.total and not _close_oldest_idle(other)
        if full:
            self.app = _TOO_MANY_CONNECTIONS
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        if not self.idle or self not in self.connections:  # It may be a WebSocket now.
            self._stop_timer()

    def on_response_complete(self) -> None:
        self._start_timer()
        super().on_response_complete()

    @property
    def idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    @property
    def deadline(self) -> float:
        return self._timer.when() if self._timer else 0

    def abort(self) -> None:
        self._stop_timer()
        self.connections.discard(self)  # The event loop would do so only a moment later.
        self.transport.abort()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.bounds.request_seconds, self.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that is aborted if its client does not read the last bytes of a session."""

    _timer: asyncio.TimerHandle | None = None

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        """Starts the timer when the application has ended.

        Args:
          task: The application's task.
        """
        super().on_task_complete(task)
        self._timer = self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the timer.

        Args:
          exc: Why the connection was lost; None if it was closed.
        """
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)


def _client_host(connection: Any) -> str | None:
    return connection.client[0] if connection.client else None


def _close_oldest_idle(connections: list[Any]) -> bool:
    """Returns whether there was one to close."""
    idle = [one for one in connections if isinstance(one, _LimitedHTTPProtocol) and one.idle]
    if idle:
        min(idle, key=lambda one: one.deadline).abort()
    return bool(idle)
