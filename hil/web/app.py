"""The application: which address answers what. Everything is read from run files; the one thing asked for is to stop.

A run neither needs this nor notices it: its file is opened read-only, for a moment, when something has been committed.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from drivers.errors import HilError, InputError
from hil.store.locking import in_use
from hil.web.folder import UnknownRunError
from hil.web.guard import Guard
from hil.web.news import Channel
from hil.web.reading import compared, signature, summary
from hil.web.stop import ask_to_stop

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from hil.web.folder import Folder


class Hub:
    """Every run of a folder, and what is known of those that somebody has asked for."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._channels: dict[str, tuple[int, Channel]] = {}
        self._summaries: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {}

    def channel(self, name: str) -> Channel:
        """The run of this name; raises UnknownRunError. Another file under the name is another run."""
        path = self.folder.file(name)
        inode = path.stat().st_ino
        if name not in self._channels or self._channels[name][0] != inode:
            self._channels[name] = inode, Channel(path)
        return self._channels[name][1]

    async def end(self) -> None:
        """Let go of every page that follows a run."""
        for _, channel in self._channels.values():
            await channel.end()

    def runs(self) -> list[dict[str, Any]]:
        """A line for every run; a file is read again only when it has changed."""
        found = []
        for name in self.folder.names():
            path = self.folder.path / name
            now = signature(path)
            if name not in self._summaries or self._summaries[name][0] != now:
                self._summaries[name] = now, summary(path)
            line = self._summaries[name][1]
            if not line["trouble"]:
                complete = line["done"] >= line["wanted"]
                line = {**line, "state": "complete" if complete else "running" if in_use(path) else "interrupted"}
            found.append(line)
        return found


class Answers:
    """One method an address."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._index = (files("hil.web") / "static" / "index.html").read_text(encoding="utf-8")

    async def page(self, _request: Request) -> Response:
        """The application itself, at the address of the list and of every run."""
        return HTMLResponse(self._index)

    async def runs(self, _request: Request) -> Response:
        """The list."""
        return JSONResponse({"runs": await to_thread.run_sync(self._hub.runs)})

    async def events(self, request: Request) -> Response:
        """Server-sent events of a run."""
        stream = self._channel(request).follow(may_stop=request.scope["may_stop"])
        return StreamingResponse(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def digit(self, request: Request) -> Response:
        """The image of a digit, and its counts."""
        return await self._told(request, "digit", "noise", "index")

    async def maps(self, request: Request) -> Response:
        """What every layer made of it."""
        return await self._told(request, "maps", "noise", "index")

    async def kernel(self, request: Request) -> Response:
        """The raster of a kernel."""
        return await self._told(request, "kernel", "noise", "index", "layer", "channel")

    async def slot(self, request: Request) -> Response:
        """A slot with its traces."""
        return await self._told(request, "slot", "noise", "index", "layer", "channel", "position")

    async def statistics(self, request: Request) -> Response:
        """Sums over all slots."""
        return await self._told(request, "statistics")

    async def compare(self, request: Request) -> Response:
        """Two runs' answers."""
        one, two = (self._hub.folder.file(request.path_params[name]) for name in ("one", "two"))
        return JSONResponse(await to_thread.run_sync(compared, one, two))

    async def stop(self, request: Request) -> Response:
        """Ask a run to stop, once: a second Ctrl-C would not wait for the shot in hand."""
        channel = self._channel(request)
        asked = None
        if not channel.stopping:
            asked = ask_to_stop(channel.reading.path)
            channel.stopping = True
        return JSONResponse({"asked": asked})

    def _channel(self, request: Request) -> Channel:
        return self._hub.channel(request.path_params["name"])

    async def _told(self, request: Request, what: str, *names: str) -> Response:
        ask = getattr(self._channel(request).reading, what)
        body = await to_thread.run_sync(ask, *(request.path_params[name] for name in names))
        return Response(body, media_type="application/json")


def application(hub: Hub, token: str, *, open_to_all: bool) -> ASGIApp:
    """Serve the run files of a folder; without `open_to_all` even reading needs the token."""
    answer = Answers(hub)
    one_run = "/api/runs/{name}"
    one_digit = f"{one_run}/digits/{{noise:int}}/{{index:int}}"
    inner = Starlette(
        routes=[
            Route("/", answer.page),
            Route("/run/{name}", answer.page),
            Route("/api/runs", answer.runs),
            Route(f"{one_run}/events", answer.events),
            Route(f"{one_run}/statistics", answer.statistics),
            Route(f"{one_run}/stop", answer.stop, methods=["POST"]),
            Route(one_digit, answer.digit),
            Route(f"{one_digit}/maps", answer.maps),
            Route(f"{one_digit}/{{layer}}/{{channel:int}}", answer.kernel),
            Route(f"{one_digit}/{{layer}}/{{channel:int}}/{{position:int}}", answer.slot),
            Route("/api/compare/{one}/{two}", answer.compare),
            Mount("/static", StaticFiles(packages=[("hil.web", "static")])),
        ],
        exception_handlers={HilError: _refused, HTTPException: _not_found},
    )
    return Guard(inner, token, open_to_all)


async def _refused(_request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, UnknownRunError) else 400 if isinstance(error, InputError) else 409
    return JSONResponse({"error": str(error)}, status)


async def _not_found(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"error": "there is nothing at this address" if status == 404 else str(error)}, status)
