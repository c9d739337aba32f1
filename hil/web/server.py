"""The server of the application, and how it ends: at once and without a word, whoever is still reading."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable

import uvicorn


class QuietServer(uvicorn.Server):
    """A uvicorn server that calls `let_go` before it waits for its connections to end."""

    def __init__(self, config: uvicorn.Config, let_go: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._let_go = let_go

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams of events end by themselves; who does not even read what was sent is cut off after a second.

        uvicorn 0.54 reports every answer that is cut off with a traceback. Here it is what was asked for.
        """
        await self._let_go()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)
