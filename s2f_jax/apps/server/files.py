"""Static files of the pages."""

import pathlib

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

_SHARED = pathlib.Path(__file__).parent / "static"


def static_routes(directory: pathlib.Path) -> list[Mount]:
    """Makes routes to a page's static files and to those that all pages share.

    Args:
      directory: The page's own files, served at /; the shared ones are served at /shared.

    Returns:
      Routes that have to be the last of an application, as they match every path.
    """
    return [
        Mount("/shared", StaticFiles(directory=_SHARED)),
        Mount("/", StaticFiles(directory=directory, html=True)),
    ]
