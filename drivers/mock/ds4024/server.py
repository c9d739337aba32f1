"""A simulated RIGOL DS4024 in front of the simulated board, for unmodified VISA clients over loopback.

    with ScopeServer(board) as scope:
        visa.open_resource(scope.vxi11_resource)   # or scope.socket_resource

It behaves as the programming guide and published drivers say, faults and quirks included, and has no other knowledge
than what its probes see. Not simulated: segmented recording, decoding, mathematics, trigger modes
other than edge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from drivers.errors import InputError
from drivers.mock.ds4024.acquisition import SignalSource
from drivers.mock.ds4024.faults import Faults
from drivers.mock.ds4024.instrument import DS4024, PROFILES
from drivers.mock.ds4024.portmapper import Portmapper
from drivers.mock.ds4024.rawsocket import RawSocketServer
from drivers.mock.ds4024.vxi11 import CORE_PROGRAM, CORE_VERSION, Vxi11Server

DEFAULT_CHANNELS = {"axon": 1, "sync": 3, "dendrite": 2, "membrane": 4}


@dataclass(frozen=True)
class Reached:
    """How the instrument is reached: the port of its raw socket and of a portmapper (0: any free one; None: no
    portmapper), how much of a VXI-11 message it takes at once, and how fast its memory comes (None: as the profile).
    """

    port: int = 0
    portmapper: int | None = None
    piece_bytes: int = 1 << 20
    bytes_per_s: float | None = None


EPHEMERAL = Reached()


class ScopeServer:
    """A DS4024 on the loopback interface, by VXI-11 and by raw socket; a context manager.

    `source` is the board; `channels` says which signal is on which channel; `probe` is what the probes attenuate.
    `port` is the raw socket's (0: a free one); with `portmapper`, its port (111), clients find VXI-11 by address alone.
    `faults` are names out of drivers.mock.ds4024.faults, each optionally with `:count`. Leaving the context raises
    TwinError if the instrument was used in a way that the simulation cannot follow.
    """

    def __init__(
        self,
        source: SignalSource,
        *,
        faults: Collection[str] = (),
        profile: str = "fast",
        channels: Mapping[str, int] | None = None,
        probe: float = 10.0,
        clock: Callable[[], int] | None = None,
        reached: Reached = EPHEMERAL,
    ) -> None:
        if profile not in PROFILES:
            raise InputError(f"profile {profile!r} is not one of: {', '.join(PROFILES)}")
        speed = PROFILES[profile]
        if reached.bytes_per_s is not None:
            speed = replace(speed, bytes_per_s=reached.bytes_per_s)
        used = clock if clock is not None else getattr(source, "clock", time.monotonic_ns)
        self.instrument = DS4024(
            source,
            channels=dict(DEFAULT_CHANNELS if channels is None else channels),
            probe=probe,
            faults=Faults(faults),
            profile=speed,
            clock=used,
            seed=0,
        )
        self._vxi11 = Vxi11Server(self.instrument, piece_bytes=reached.piece_bytes)
        self._socket = RawSocketServer(self.instrument, port=reached.port)
        self._mapper = None
        if reached.portmapper is not None:
            self._mapper = Portmapper(CORE_PROGRAM, CORE_VERSION, self._vxi11.port, port=reached.portmapper)

    @property
    def vxi11_resource(self) -> str:
        """The VISA resource string for VXI-11."""
        return f"TCPIP0::127.0.0.1,{self._vxi11.port}::inst0::INSTR"

    @property
    def socket_resource(self) -> str:
        """The VISA resource string for the raw socket."""
        return f"TCPIP0::127.0.0.1::{self._socket.port}::SOCKET"

    @property
    def mapped_port(self) -> int | None:
        """The port of the portmapper, if there is one."""
        return None if self._mapper is None else self._mapper.port

    def close(self) -> None:
        """Stop serving."""
        self._vxi11.close()
        self._socket.close()
        if self._mapper is not None:
            self._mapper.close()

    def __enter__(self) -> ScopeServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        self.close()
        if kind is None:
            self.instrument.misuse.raise_first()
