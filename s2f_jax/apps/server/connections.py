"""Connections to a page: who says or reads nothing keeps none of them from others."""

import asyncio
from typing import Any, NamedTuple

from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_UNREAD = 10  # Seconds that the last bytes of a socket may wait to be read.

_CROWDED = PlainTextResponse(
    "Too many are here at once, or too many from your address: try again in a minute.\n",
    503,
    {"Retry-After": "60", "Connection": "close"},
)


class Crowd(NamedTuple):
    """How many connections there may be; of more, each request is answered 503 and a sentence."""

    most: int
    each: int  # Of one address.
    seconds: int  # That each may take to send a whole head of a request.


def visitors(crowd: Crowd) -> type[H11Protocol]:
    """What uvicorn makes one of for each connection."""

    class Bounded(_Visitor):
        bounds = crowd

    return Bounded


class _Visitor(H11Protocol):
    """Is cut off where it takes too long to ask for something, or where it has asked for nothing yet
    and its place is needed: the earliest first, of its own address if that has too many."""

    bounds: Crowd
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        # Another sentence than uvicorn's is said, and of less than all connections.
        self.limit_concurrency = None
        others = [other for other in self.connections if other is not self]
        mine = [other for other in others if _address(other) == _address(self)]
        if len(mine) >= self.bounds.each:
            full = not _made_room(mine)
        else:
            full = len(others) >= self.bounds.most and not _made_room(others)
        if full:
            self.app = _CROWDED
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        if not self.asks_nothing or self not in self.connections:  # It is a socket now.
            self._wait_no_more()

    def on_response_complete(self) -> None:
        self._wait()
        super().on_response_complete()

    @property
    def asks_nothing(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    @property
    def since(self) -> float:
        """When its time will be over."""
        return self._timer.when() if self._timer else 0

    def cut(self) -> None:
        self._wait_no_more()
        self.connections.discard(self)  # Which the loop would do a moment later.
        self.transport.abort()

    def _wait(self) -> None:
        self._wait_no_more()
        self._timer = self.loop.call_later(self.bounds.seconds, self.cut)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Socket(WebSocketsSansIOProtocol):
    """Is cut off where the session is over and its last words are not read."""

    _end: asyncio.TimerHandle | None = None

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        super().on_task_complete(task)
        self._end = self.loop.call_later(_UNREAD, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)


def _address(connection: Any) -> str | None:
    return connection.client[0] if connection.client else None


def _made_room(connections: list[Any]) -> bool:
    silent = [one for one in connections if isinstance(one, _Visitor) and one.asks_nothing]
    if silent:
        min(silent, key=lambda one: one.since).cut()
    return bool(silent)
