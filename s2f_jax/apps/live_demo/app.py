"""The live page as an application: its files, its socket, and the guard before both."""

import pathlib

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from s2f_jax.apps.live_demo.session import Session
from s2f_jax.apps.live_demo.studio import Studio
from s2f_jax.apps.server.files import files
from s2f_jax.apps.server.guard import Guard
from s2f_jax.apps.server.serving import ListenAddress

_STATIC = pathlib.Path(__file__).parent / "static"


def application(studio: Studio, place: ListenAddress) -> ASGIApp:
    """The page at /, its socket at /socket."""

    async def socket(socket: WebSocket) -> None:
        await Session(socket, studio).run()

    app = Starlette(routes=[WebSocketRoute("/socket", socket), *files(_STATIC)])
    return Guard(app, place.host, place.port, place.token)
