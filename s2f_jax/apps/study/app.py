"""A study's page as an application: its files, what it asks and says, its videos.

Whatever a page says is a POST of a JSON object, and the answer is one:

  GET  /api/study                                    id, kind, question, consent, choices
  POST /api/join      key                            code, answered, trials
  POST /api/resume    code                           code, answered, trials
  POST /api/show      code                           number, videos, next; or finished
  POST /api/vote      code, trial, choice, plays, ms code, answered, trials
  POST /api/withdraw  code                           withdrawn
  GET  /video/NAME                                   an mp4, in ranges

Where it is not done, "error" says why to people and "why" to the page: malformed, large, slow, code,
full, often, again (the trial has to be shown anew), refused.
"""

import asyncio
import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from data_pipelines.common.errors import UserError
from s2f_jax.apps.server.files import files
from s2f_jax.apps.server.guard import Guard
from s2f_jax.apps.server.messages import Malformed, number
from s2f_jax.apps.server.serving import ListenAddress
from s2f_jax.apps.study.document import Study
from s2f_jax.apps.study.limits import StudyLimits
from s2f_jax.apps.study.room import Full, NotSeen, Room, TooOften, UnknownVisitor
from s2f_jax.apps.study.store import Refused

_STATIC = pathlib.Path(__file__).parent / "static"
_LONGEST = 2**31 - 1
_KEY = range(16, 65)  # Characters.
_EARLY = "Thu, 01 Jan 1970 00:00:00 GMT"  # When a file was made may tell which method's it is.


def application(study: Study, room: Room, limits: StudyLimits, place: ListenAddress) -> ASGIApp:
    """The page at /, the one to withdraw at /withdraw.html."""
    told = {
        "id": study.sha256[:16],
        "kind": study.kind,
        "question": study.question,
        "consent": study.consent,
        "choices": study.choices,
    }

    async def about(request: Request) -> Response:
        return JSONResponse(told)

    def asked(path: str, act: Callable[[dict[str, Any], str], dict[str, Any]]) -> Route:
        async def answer(request: Request) -> Response:
            return await _answered(request, limits, act)

        return Route(f"/api/{path}", answer, methods=["POST"])

    def join(message: dict[str, Any], address: str) -> dict[str, Any]:
        key = _text(message, "key")
        if len(key) not in _KEY:
            raise Malformed(f"a key of {len(key)} characters")
        return dataclasses.asdict(room.join(key, address))

    def resume(message: dict[str, Any], address: str) -> dict[str, Any]:
        return dataclasses.asdict(room.resume(_code(message), address))

    def show(message: dict[str, Any], address: str) -> dict[str, Any]:
        shown = room.show(_code(message), address)
        return {"finished": True} if shown is None else dataclasses.asdict(shown)

    def vote(message: dict[str, Any], address: str) -> dict[str, Any]:
        trial, ms = number(message, "trial", 0, _LONGEST), number(message, "ms", 0, _LONGEST)
        plays = message.get("plays")
        if not isinstance(plays, list) or not all(type(n) is int for n in plays):
            raise Malformed("plays are no list of numbers")
        code, choice = _code(message), _text(message, "choice")
        return dataclasses.asdict(room.vote(code, address, trial, choice, plays, ms))

    def withdraw(message: dict[str, Any], address: str) -> dict[str, Any]:
        room.withdraw(_code(message), address)
        return {"withdrawn": True}

    async def video(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            path = room.video(name)
        except Refused as error:
            return _refused(error)
        same = {"etag": f'"{name}"', "last-modified": _EARLY}  # What is told of each file.
        return FileResponse(path, media_type="video/mp4", headers=same)

    routes = [
        Route("/api/study", about),
        asked("join", join),
        asked("resume", resume),
        asked("show", show),
        asked("vote", vote),
        asked("withdraw", withdraw),
        Route("/video/{name}", video),
        *files(_STATIC),
    ]
    return Guard(Starlette(routes=routes), place.host, place.port, place.token)


async def _answered(
    request: Request, limits: StudyLimits, act: Callable[[dict[str, Any], str], dict[str, Any]]
) -> Response:
    body, address = b"", request.client.host if request.client else ""
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                body += part
                if len(body) > limits.body_bytes:
                    return _error(413, "large", "That is more than this page ever says.")
    except TimeoutError:
        return _error(408, "slow", "That took too long to come.")
    except ClientDisconnect:
        return Response(status_code=400)
    try:
        return JSONResponse(await run_in_threadpool(act, _read(body), address))
    except Malformed as error:
        return _error(400, "malformed", f"This page does not say so: {error}.")
    except Refused as error:
        return _refused(error)
    except UserError as error:  # Of the disk; whoever runs the study can mend it.
        return _error(500, "refused", f"{error}")


def _read(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed("it is no JSON") from error
    if not isinstance(message, dict):
        raise Malformed("it is no object")
    return message


def _code(message: dict[str, Any]) -> str:
    """As somebody has typed it, who may have any keyboard."""
    code = message.get("code")
    if not isinstance(code, str):
        raise Malformed("code is no text")
    return code


def _text(message: dict[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str) or not value.isascii():
        raise Malformed(f"{name} is no text")
    return value


def _refused(error: Refused) -> JSONResponse:
    match error:
        case UnknownVisitor():
            return _error(404, "code", f"{error}")
        case Full():
            return _error(503, "full", f"{error}")
        case TooOften(wait=wait):
            return _error(429, "often", f"{error}", {"retry-after": str(wait)})
        case NotSeen():
            return _error(409, "again", f"{error}")
    return _error(409, "refused", f"{error}")


def _error(status: int, why: str, error: str, headers: dict[str, str] | None = None):
    return JSONResponse({"why": why, "error": error}, status, headers)
