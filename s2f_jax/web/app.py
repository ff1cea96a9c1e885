"""The live page as an application: its files, its socket, and the guard before both."""

import pathlib

from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from s2f_jax.web.guard import Guard
from s2f_jax.web.serving import Place
from s2f_jax.web.session import Session
from s2f_jax.web.studio import Studio

_FILES = pathlib.Path(__file__).parent / "static" / "demo"


def application(studio: Studio, place: Place) -> ASGIApp:
    """The page at /, its socket at /socket."""

    async def socket(socket: WebSocket) -> None:
        await Session(socket, studio).run()

    files = Mount("/", StaticFiles(directory=_FILES, html=True))
    app = Starlette(routes=[WebSocketRoute("/socket", socket), files])
    return Guard(app, place.host, place.port, place.token)
