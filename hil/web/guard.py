"""Who may ask what, and what a browser is told it may do: the one gate before every answer.

On the loopback everybody on this machine may read, under a loopback name only, so that no page of another site can have
its name point here. Over a network reading needs the token, and stopping always does.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "hil-token"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    return host in _LOOPBACK


@dataclass(frozen=True)
class Guard:
    """An ASGI application before `app`; `open_to_all` where reading needs no token."""

    app: ASGIApp
    token: str
    open_to_all: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        known = self._known(scope, headers)
        refusal = self._refusal(scope, headers, known=known)
        if refusal:
            await JSONResponse({"error": refusal}, 403)(scope, receive, told)
            return
        given = self._given(scope)
        if given and scope["method"] == "GET":  # the token leaves the address bar at once
            answer = RedirectResponse(scope["path"], 303)
            answer.set_cookie(COOKIE, given, httponly=True, samesite="strict")
            await answer(scope, receive, told)
            return
        scope["may_stop"] = known
        await self.app(scope, receive, told)

    def _refusal(self, scope: Scope, headers: Headers, *, known: bool) -> str:
        """Why this request is not answered; empty when it is."""
        if self.open_to_all and _name(headers.get("host", "")) not in _LOOPBACK:
            return "this address is for this machine only; use http://localhost or http://127.0.0.1"
        if not self.open_to_all and not known:
            return "open the address with the token that hil serve printed"
        if scope["method"] in ("GET", "HEAD"):
            return ""
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return "asked by a page of another site"
        return "" if known else "stopping a run needs the token that hil serve printed"

    def _known(self, scope: Scope, headers: Headers) -> bool:
        """Whether the right token came: as a bearer, as a cookie, or in the address."""
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        cookie: SimpleCookie = SimpleCookie()
        try:
            cookie.load(headers.get("cookie", ""))
        except CookieError:
            return False
        kept = cookie[COOKIE].value if COOKIE in cookie else ""
        return any(
            secrets.compare_digest(one.encode(), self.token.encode())
            for one in (bearer if kind.lower() == "bearer" else "", kept, self._given(scope))
        )

    def _given(self, scope: Scope) -> str:
        """The right token in the address, or nothing."""
        query = scope["query_string"].decode("latin-1")
        given = query.removeprefix("token=") if query.startswith("token=") else ""
        return given if secrets.compare_digest(given.encode(), self.token.encode()) else ""


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
