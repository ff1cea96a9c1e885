"""The page of a study as an ASGI application: static files, a JSON API, videos.

Each request of the API is a POST of a JSON object, and so is the response:

  GET  /api/study                                    id, kind, question, consent, choices
  POST /api/join      key                            code, answered, trials
  POST /api/resume    code                           code, answered, trials
  POST /api/show      code                           number, videos, next; or finished
  POST /api/vote      code, trial, choice, plays, ms code, answered, trials
  POST /api/withdraw  code                           withdrawn
  GET  /video/NAME                                   an mp4, in ranges

A response with an error status has "error", a sentence for the participant, and "why" for the page:
malformed, large, slow, code, full, often, again (the trial has to be shown again), refused.
"""

import asyncio
import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from data_pipelines.common.errors import UserError
from s2f_jax.apps.server import messages
from s2f_jax.apps.server.page import guarded_page
from s2f_jax.apps.server.serving import ListenAddress
from s2f_jax.apps.study import document, room, store
from s2f_jax.apps.study.limits import StudyLimits

_STATIC = pathlib.Path(__file__).parent / "static"
_MAX_INTEGER = 2**31 - 1
_KEY_LENGTHS = range(16, 65)  # Characters.
# Last-Modified of each video: when a file was made may tell which method made it.
_EPOCH = "Thu, 01 Jan 1970 00:00:00 GMT"

# (request, client's address) -> response.
Handler = Callable[[dict[str, Any], str], dict[str, Any]]


def application(
    study: document.Study, service: room.StudyService, limits: StudyLimits, address: ListenAddress
) -> ASGIApp:
    """Makes the application: the page at /, the one to withdraw at /withdraw.html.

    Args:
      study: The study.
      service: Answers the requests.
      limits: Limits on a request's body.
      address: Address at which the page is served.

    Returns:
      The application behind its access control.
    """
    shown = {name: getattr(study, name) for name in ("kind", "question", "consent", "choices")}
    description = {"id": study.sha256[:16], **shown}

    async def describe(request: Request) -> Response:
        return JSONResponse(description)

    async def send_video(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            path = service.video_path(name)
        except store.RequestRejected as error:
            return _rejection(error)
        headers = {"etag": f'"{name}"', "last-modified": _EPOCH}  # Tell nothing of the file.
        return FileResponse(path, media_type="video/mp4", headers=headers)

    def api_route(name: str, handler: Handler) -> Route:
        respond = functools.partial(_respond, limits=limits, handler=handler)
        return Route(f"/api/{name}", respond, methods=["POST"])

    routes = [
        Route("/api/study", describe),
        *(api_route(name, handler) for name, handler in _handlers(service).items()),
        Route("/video/{name}", send_video),
    ]
    return guarded_page(routes, _STATIC, address)


def _handlers(service: room.StudyService) -> dict[str, Handler]:
    def join(message: dict[str, Any], address: str) -> dict[str, Any]:
        key = _ascii(message, "key")
        if len(key) not in _KEY_LENGTHS:
            raise messages.MalformedMessage(f"a key of {len(key)} characters")
        return dataclasses.asdict(service.join(key, address))

    def resume(message: dict[str, Any], address: str) -> dict[str, Any]:
        return dataclasses.asdict(service.resume(messages.string(message, "code"), address))

    def show(message: dict[str, Any], address: str) -> dict[str, Any]:
        trial = service.next_trial(messages.string(message, "code"), address)
        return {"finished": True} if trial is None else dataclasses.asdict(trial)

    def vote(message: dict[str, Any], address: str) -> dict[str, Any]:
        trial, ms = (messages.integer(message, name, 0, _MAX_INTEGER) for name in ("trial", "ms"))
        plays = message.get("plays")
        if not isinstance(plays, list) or not all(type(n) is int for n in plays):
            raise messages.MalformedMessage("plays is not a list of integers")
        code, choice = messages.string(message, "code"), _ascii(message, "choice")
        return dataclasses.asdict(service.vote(code, address, trial, choice, plays, ms))

    def withdraw(message: dict[str, Any], address: str) -> dict[str, Any]:
        service.withdraw(messages.string(message, "code"), address)
        return {"withdrawn": True}

    return {"join": join, "resume": resume, "show": show, "vote": vote, "withdraw": withdraw}


async def _respond(request: Request, limits: StudyLimits, handler: Handler) -> Response:
    body, address = b"", request.client.host if request.client else ""
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                body += part
                if len(body) > limits.body_bytes:
                    return _error(413, "large", "The request is too large.")
    except TimeoutError:
        return _error(408, "slow", "The request took too long to arrive.")
    except ClientDisconnect:
        return Response(status_code=400)
    try:
        message = messages.parse_object(body)
        return JSONResponse(await run_in_threadpool(handler, message, address))
    except messages.MalformedMessage as error:
        return _error(400, "malformed", f"The page sent an invalid request: {error}.")
    except store.RequestRejected as error:
        return _rejection(error)
    except UserError as error:  # Such as a full disk, which whoever runs the study can fix.
        return _error(500, "refused", f"{error}")


def _ascii(message: dict[str, Any], name: str) -> str:
    text = messages.string(message, name)
    if not text.isascii():
        raise messages.MalformedMessage(f"{name} is not ASCII")
    return text


def _rejection(error: store.RequestRejected) -> JSONResponse:
    match error:
        case room.Unknown():
            return _error(404, "code", f"{error}")
        case room.AllPlacesTaken():
            return _error(503, "full", f"{error}")
        case room.TooManyRequests(wait=wait):
            return _error(429, "often", f"{error}", {"retry-after": str(wait)})
        case room.NotPlayed():
            return _error(409, "again", f"{error}")
    return _error(409, "refused", f"{error}")


def _error(
    status: int, why: str, error: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse({"why": why, "error": error}, status, headers)
