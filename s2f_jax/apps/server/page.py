"""A page as an application: its routes and static files, behind its access control."""

import pathlib
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from s2f_jax.apps.server.guard import Guard
from s2f_jax.apps.server.serving import ListenAddress

_SHARED = pathlib.Path(__file__).parent / "static"


def guarded_page(
    routes: Sequence[BaseRoute], directory: pathlib.Path, address: ListenAddress
) -> Guard:
    """Makes the application of a page.

    Args:
      routes: The page's own routes.
      directory: The page's own files, served at /; those that all pages share are at /shared.
      address: Address at which the page is served.

    Returns:
      The application behind its access control.
    """
    # The last ones match every path.
    shared, own = StaticFiles(directory=_SHARED), StaticFiles(directory=directory, html=True)
    app = Starlette(routes=[*routes, Mount("/shared", shared), Mount("/", own)])
    return Guard(app, address.host, address.port, address.token)
