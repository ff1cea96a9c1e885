"""The live demo as an ASGI application."""

import pathlib

from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from s2f_jax.apps.live_demo.session import VisitorSession
from s2f_jax.apps.live_demo.studio import DemoService
from s2f_jax.apps.server.page import guarded_page
from s2f_jax.apps.server.serving import ListenAddress

_STATIC = pathlib.Path(__file__).parent / "static"


def application(service: DemoService, address: ListenAddress) -> ASGIApp:
    """Makes the application: the page at /, its WebSocket at /socket.

    Args:
      service: What all visitors share.
      address: Address at which the page is served.

    Returns:
      The application behind its access control.
    """

    async def socket(socket: WebSocket) -> None:
        await VisitorSession(socket, service).run()

    return guarded_page([WebSocketRoute("/socket", socket)], _STATIC, address)
