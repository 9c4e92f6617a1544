"""Who may make a request: the browser that opened the one-time link, from the page itself, on the loopback address."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_REQUEST = 256 * 1024  # bytes: a polygon of 500 corners is a tenth
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Access:
    """The one-time token and the cookies that it was exchanged for.

    Attributes
    ----------
    token
        Opens the page once; another one takes its place then.
    """

    def __init__(self, port: int, say: Callable[[str], None]) -> None:
        """Make a token.

        Parameters
        ----------
        port
            Of the server.
        say
            Prints a link on the console.
        """
        self.token = secrets.token_urlsafe(32)
        self._say = say
        self._port = port
        self._cookie = f"immunolab_review_{port}"  # all ports of an address share its cookies
        self._opened: list[str] = []
        self.hosts = (f"127.0.0.1:{port}", f"localhost:{port}")

    @property
    def link(self) -> str:
        """The address that opens the page once."""
        return f"http://{self.hosts[0]}/?token={self.token}"

    def enter(self, response: Response) -> Response:
        """Return a response with a new cookie; the token is used, and the next link is printed.

        Parameters
        ----------
        response
            Of a request with the token.
        """
        secret = secrets.token_urlsafe(32)
        self._opened.append(secret)
        self.token = secrets.token_urlsafe(32)
        self._say(f"the link was used; another browser, or a new window of it: {self.link}")
        response.set_cookie(self._cookie, secret, httponly=True, samesite="strict", path="/")
        return response

    def middleware(self) -> Callable[[ASGIApp], ASGIApp]:
        """Return the guard that every request passes first."""
        return lambda app: _Guard(app, self)

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and words of a request that is refused; None where it may be made.

        Parameters
        ----------
        scope
            Of the request.
        """
        heads = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        head = dict(heads)
        host = head.get("host", "")
        if [name for name, _ in heads].count("host") != 1 or host not in self.hosts:
            return 421, "this server answers under its loopback address only"
        is_post = scope["method"] not in ("GET", "HEAD")
        if head.get("origin", "" if is_post else f"http://{host}") != f"http://{host}":
            return 403, "the request does not come from the review's own page"
        if head.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "the request does not come from the review's own page"
        if scope["path"] == "/" and b"token=" in scope["query_string"]:
            return None if self._has_token(scope) else (403, _USED)
        if not self._has_cookie(head.get("cookie", "")):
            return 401, "open the link that the console shows: this browser has not opened the review"
        if is_post and head.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            return 415, "the request is not application/json"
        if not head.get("content-length", "0").isdecimal():
            return 400, "the request's length is no number"
        if int(head.get("content-length", "0")) > LARGEST_REQUEST:
            return 413, _TOO_LARGE
        return None

    def _has_token(self, scope: Scope) -> bool:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return len(given) == 1 and hmac.compare_digest(given[0].encode(), self.token.encode())

    def _has_cookie(self, text: str) -> bool:
        cookies = [part.strip().partition("=") for part in text.split(";")]
        given = [value.encode() for name, _, value in cookies if name == self._cookie]
        return any(hmac.compare_digest(one, secret.encode()) for one in given for secret in self._opened)


_USED = "this link was used before, or is of another review: the console shows the newest"
_TOO_LARGE = f"the request is larger than {LARGEST_REQUEST // 1024} KiB"


class _Guard:
    """Refuses what `Access` refuses, limits what a request may send, and sets the headers of every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in HEADERS.items())]
            await send(message)

        refusal = self._access.refusal(scope)
        if refusal is not None:
            await _refused(scope, *refusal)(scope, receive, sent)
            return
        try:
            await self._app(scope, _limited(receive), sent)
        except _TooLarge:
            await _refused(scope, 413, _TOO_LARGE)(scope, receive, sent)


class _TooLarge(Exception):
    """More was sent than a request may hold."""


def _limited(receive: Receive) -> Receive:
    """Return what gives a request's body up to the largest that is taken, whatever its headers say."""
    held = 0

    async def limited() -> Message:
        nonlocal held
        message = await receive()
        held += len(message.get("body", b""))
        if held > LARGEST_REQUEST:
            raise _TooLarge
        return message

    return limited


def _refused(scope: Scope, status: int, words: str) -> Any:
    """Return a refusal in words: a line of text for the page itself, JSON for its requests."""
    if scope["path"] == "/":
        return PlainTextResponse(f"{words}\n", status_code=status)
    return JSONResponse({"error": words}, status_code=status)
