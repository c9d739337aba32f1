"""The command loop: one line in, one line out; between lines the board is watched and the player goes on.

Ctrl-C (mpremote sends it) is read like any other byte, so that it can come at no bad moment, a second one neither: the
board is made safe, the chip's watchdog stops, the loop ends, and what follows is the REPL.
"""

import gc

import machine
import micropython
import registers
from commands import answer
from identity import Identity
from port import Break, Port
from protocol import MAX_LINE, error
from station import Station

HANG_MS = 2000  # the chip resets when the loop does not come round in this time
REST_MS, PLAY_MS = 20, 1
TIDY_BYTES = 8192  # so much has gone through before the heap is tidied in a quiet moment


def run() -> None:
    """Serve until Ctrl-C."""
    micropython.kbd_intr(-1)
    station = Station()
    identity = Identity(station.boot)
    watchdog = machine.WDT(timeout=HANG_MS)
    port = Port(station)
    try:
        _serve(station, identity, port, watchdog)
    except Break:
        station.make_safe("repl")
        registers.stop_watchdog()  # after anything else it resets the chip, which boots safe
    finally:
        station.make_safe("repl")
        station.leave()
        micropython.kbd_intr(3)


def _serve(station, identity, port, watchdog) -> None:
    while True:
        watchdog.feed()
        station.watch()
        station.advance()
        station.show()
        line = port.read(REST_MS if station.player.playing is None else PLAY_MS)
        if line:
            anchor = (line,)
            port.write(answer(station, identity, line))
        elif line is not None:
            port.write(error(0, "syntax", "a line has %d bytes at most" % MAX_LINE))
        elif port.carried > TIDY_BYTES and not port.ready():
            port.carried = 0
            gc.collect()
            anchor = (port,)  # noqa: F841 (see buffers.plug)
