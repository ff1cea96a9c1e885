"""Who may talk to a page that is served here: the right address, the right origin, the token."""

import hmac
import ipaddress
import re
import socket
import urllib.parse

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE = ("GET", "HEAD")  # Change nothing here.
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::\d{1,5})?", re.ASCII | re.IGNORECASE)

HEADERS = {
    # No script, style or anything else that is not a file of ours; no page may frame it.
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "worker-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "media-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Guard:
    """Before an application: answers what is not meant for it with 403 and a sentence, and gives
    every answer the headers above.

    Host has to be one of this machine's names or addresses: under a name of somebody else's, which
    leads here (DNS rebinding), a page of theirs would share our origin. Origin has to be Host, on
    sockets and on whatever may change something. With a token, `?token=` in the address of a page
    opens it; a cookie remembers it, so that no address in it has to.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, token: str | None = None):
        """host, port: that are listened on."""
        self._app, self._token, self._cookie = app, token, f"s2f_{port}"
        self._anywhere = not is_loopback(host)
        self._names = {"localhost", host.lower()}
        if self._anywhere:
            name = socket.gethostname().lower()
            self._names |= {name, f"{name}.local"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._answer(scope)
        if answer is None:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await answer(scope, receive, send_with_headers)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _answer(self, scope: Scope) -> Response | None:
        """Ours, instead of the application's."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._known(host):
            return _refused(f"This page is not at {host!r}: use the address that was printed.")
        socket_or_change = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if socket_or_change and not _same(headers.get("origin", ""), host):
            return _refused(f"The origin {headers.get('origin', '')!r} is not this page.")
        return self._without_token(scope, headers) if self._token is not None else None

    def _known(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].strip("[]").lower()
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._anywhere or address.is_loopback  # No name, nothing to rebind.

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        query = QueryParams(scope["query_string"])
        if scope["type"] == "http" and scope["method"] in _SAFE and "token" in query:
            if not self._right(query["token"]):
                return _refused("This address has a wrong token: use the address that was printed.")
            rest = urllib.parse.urlencode([p for p in query.multi_items() if p[0] != "token"])
            # Two slashes at the start would be another machine's address.
            path = "/" + urllib.parse.quote(scope["path"]).lstrip("/")
            response = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
            secure = scope["scheme"] == "https"
            # Lax, since who follows a link from a letter comes from another site.
            response.set_cookie(
                self._cookie, self._token or "", httponly=True, samesite="lax", secure=secure
            )
            return response
        if self._right(cookie_parser(headers.get("cookie", "")).get(self._cookie, "")):
            return None
        return _refused("This address lacks its token: use the address that was printed, with it.")

    def _right(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), (self._token or "").encode())


def is_loopback(host: str) -> bool:
    """Whether only this machine's own programs reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _same(origin: str, host: str) -> bool:
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest.lower() == host.lower()


def _refused(why: str) -> Response:
    return PlainTextResponse(f"{why}\n", 403)
