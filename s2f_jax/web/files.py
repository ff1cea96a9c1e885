"""The files of a page: its own, and what all pages share."""

import pathlib

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

_FOLDER = pathlib.Path(__file__).parent / "static"


def files(page: str) -> list[Mount]:
    """page: the folder of its own, at /; the shared ones are at /shared. The last of the routes."""
    return [
        Mount("/shared", StaticFiles(directory=_FOLDER / "shared")),
        Mount("/", StaticFiles(directory=_FOLDER / page, html=True)),
    ]
