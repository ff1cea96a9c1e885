"""The files of a page: its own, and what all pages share."""

import pathlib

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

_SHARED = pathlib.Path(__file__).parent / "static"


def files(own: pathlib.Path) -> list[Mount]:
    """own: the folder of the page's own, at /; the shared ones are at /shared. The last of the routes."""
    return [
        Mount("/shared", StaticFiles(directory=_SHARED)),
        Mount("/", StaticFiles(directory=own, html=True)),
    ]
