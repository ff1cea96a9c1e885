"""The live page as an application: its files, its socket, and the guard before both."""

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from s2f_jax.web.files import files
from s2f_jax.web.guard import Guard
from s2f_jax.web.serving import Place
from s2f_jax.web.session import Session
from s2f_jax.web.studio import Studio


def application(studio: Studio, place: Place) -> ASGIApp:
    """The page at /, its socket at /socket."""

    async def socket(socket: WebSocket) -> None:
        await Session(socket, studio).run()

    app = Starlette(routes=[WebSocketRoute("/socket", socket), *files("demo")])
    return Guard(app, place.host, place.port, place.token)
