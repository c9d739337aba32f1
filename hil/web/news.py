"""Telling every open page of what a run file holds, as it comes: one look for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from anyio import to_thread

from drivers.errors import HilError
from hil.web.reading import Now, Reading, encoded

LOOK_S = 0.4  # a shot is on every page within a second
_KEEP_ALIVE_S = 15.0


def message(event: str, data: object) -> bytes:
    """One server-sent event (HTML living standard, section 9.2); JSON has no line ends."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), encoded(data))


class Channel:
    """A run file and the pages that follow it. It is looked at only while there are any."""

    def __init__(self, path: Path) -> None:
        self.reading = Reading(path)
        self._changed = asyncio.Condition()
        self._looking: asyncio.Task[None] | None = None
        self._followers = 0
        self._version = 0
        self._now: Now | None = None
        self._told: tuple[bytes, ...] = ()  # the state for those who may not stop a run, and for those who may
        self._trouble = ""
        self._over = asyncio.Event()
        self.stopping = False

    async def end(self) -> None:
        """Every page is let go, and nothing is read any more: the server ends."""
        self.reading.over = True
        async with self._changed:
            self._over.set()
            self._changed.notify_all()

    async def follow(self, *, may_stop: bool) -> AsyncIterator[bytes]:
        """Server-sent events for one page: `run` first, then `digits` that are new and the `state`, until the end."""
        self._followers += 1
        if self._looking is None:
            self._version = 0
            self._looking = asyncio.create_task(self._look())
        try:
            seen, generation, sent = 0, -1, 0
            while True:
                try:
                    await asyncio.wait_for(self._news(seen), _KEEP_ALIVE_S)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if self._over.is_set():
                    return
                seen = self._version
                if self._trouble:
                    yield message("trouble", {"error": self._trouble})
                    continue
                now = self._now
                if now is None:
                    continue
                if now.generation != generation:
                    generation, sent = now.generation, 0
                    yield message("run", self.reading.fixed)
                if len(now.digits) > sent:
                    yield message("digits", now.digits[sent:])
                    sent = len(now.digits)
                yield self._told[may_stop]
        finally:
            self._followers -= 1
            if not self._followers and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _news(self, seen: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._over.is_set() or self._version > seen)

    async def _look(self) -> None:
        while True:
            now, trouble = None, ""
            try:
                now = await to_thread.run_sync(self.reading.now)
            except HilError as error:
                trouble = str(error)
            if now is not None:
                if now.state["state"] != "running":
                    self.stopping = False
                elif self.stopping:
                    now.state["state"] = "stopping"
            if (now, trouble) != (self._now, self._trouble) or not self._version:
                async with self._changed:
                    self._now, self._trouble = now, trouble
                    state = now.state if now is not None else {}
                    self._told = tuple(message("state", {**state, "may_stop": may}) for may in (False, True))
                    self._version += 1
                    self._changed.notify_all()
            await asyncio.sleep(LOOK_S)
