"""Access control of a served page: Host, Origin and token."""

import hmac
import ipaddress
import re
import socket
import urllib.parse

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE_METHODS = ("GET", "HEAD")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::\d{1,5})?", re.ASCII | re.IGNORECASE)

HEADERS = {
    # Only our own files are loaded, and no other page may frame ours.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; worker-src 'self';"
    " style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; connect-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Guard:
    """ASGI middleware that rejects requests not meant for this page and sets security headers.

    A rejected request is answered with status 403 and a sentence. Host has to be a name or address of
    this machine: under somebody else's name that resolves here (DNS rebinding), their page would share
    our origin. Origin has to equal Host on WebSockets and on requests that may change something. With
    a token, `?token=` in the address of a page opens it; a cookie remembers it, so that no other
    address has to hold it.

    Args:
      app: The application behind it.
      host: Host that the page is served on.
      port: Port that the page is served on.
      token: Token that opens the page; None: none is needed.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, token: str | None = None):
        self._app, self._token, self._cookie = app, token, f"s2f_{port}"
        self._remote = not is_loopback(host)
        self._host_names = {"localhost", host.lower()}
        if self._remote:
            name = socket.gethostname().lower()
            self._host_names |= {name, f"{name}.local"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request as an ASGI application.

        Args:
          scope: The connection's scope.
          receive: Awaited for the next event from the client.
          send: Awaited with an event to the client.
        """
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        rejection = self._check_request(scope)
        if rejection is None:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await rejection(scope, receive, send_with_headers)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _check_request(self, scope: Scope) -> Response | None:
        """Returns the response instead of the application's; None: the request is allowed."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own_host(host):
            return _forbidden(f"This page is not served at {host!r}: use the printed address.")
        socket_or_change = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        origin = headers.get("origin", "")
        if socket_or_change and not _same_origin(origin, host):
            return _forbidden(f"A request from {origin!r} is not allowed: open the page itself.")
        return self._check_token(scope, headers) if self._token is not None else None

    def _is_own_host(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].strip("[]").lower()
        if name in self._host_names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._remote or address.is_loopback  # An address cannot be rebound.

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        query = QueryParams(scope["query_string"])
        if scope["type"] == "http" and scope["method"] in _SAFE_METHODS and "token" in query:
            if not self._token_matches(query["token"]):
                return _forbidden("The token in this address is wrong: use the printed address.")
            rest = urllib.parse.urlencode([p for p in query.multi_items() if p[0] != "token"])
            # Two slashes at the start would redirect to another host.
            path = "/" + urllib.parse.quote(scope["path"]).lstrip("/")
            response = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
            secure = scope["scheme"] == "https"
            # Lax: somebody who follows a link in an email comes from another site.
            response.set_cookie(
                self._cookie, self._token or "", httponly=True, samesite="lax", secure=secure
            )
            return response
        if self._token_matches(cookie_parser(headers.get("cookie", "")).get(self._cookie, "")):
            return None
        return _forbidden("This address lacks its token: use the printed address, with ?token=...")

    def _token_matches(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), (self._token or "").encode())


def is_loopback(host: str) -> bool:
    """Tells whether only programs of this machine can reach a host.

    Args:
      host: Host name or address.

    Returns:
      Whether it is localhost or a loopback address.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _same_origin(origin: str, host: str) -> bool:
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest.lower() == host.lower()


def _forbidden(reason: str) -> Response:
    return PlainTextResponse(f"{reason}\n", 403)
