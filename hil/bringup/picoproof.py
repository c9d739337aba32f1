"""What a Pico is put through by `hil accept`: what its test in an emulator does, on the real one.

Each step takes the Pico over for itself; what is played is in the device's account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from drivers.claims import claim
from drivers.device import load_device
from drivers.errors import HilError
from drivers.parts.assembly import claims
from drivers.pico.device import Pico
from drivers.pico.link import REPLY_S
from drivers.pico.paces import in_a_row, request_times_s, strays, unlike
from drivers.pico.proof import Found, dies_in_payload, falls_silent, is_interrupted_twice
from drivers.signals import probe_frame
from drivers.wear.account import Account
from drivers.wear.passport import passport_folder
from hil.bringup.done import Done

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile

REQUESTS = "Pico: requests in time"
IN_A_ROW, GAPS = "Pico: shots in a row", "Pico: gaps between shots in a row"
INTERRUPTED = "Pico: two Ctrl-C in a shot"
SILENT_HOST, DEAD_IN_PAYLOAD = "Pico whose host is silent", "Pico whose host dies in a payload"
PARKS = ("silence", "watchdog")  # what a Pico says that has made the board safe by itself
SHOTS, SLOTS, MOST_PULSES = 3, 400, 38  # in a row, long enough to load the next beside them
LONG = [1] * 900  # in slots of a millisecond
LONGEST_GAP_S = 2e-3  # of the Pico's own time, which has steps of 1 ms; 0.008 ms in an emulated one
LEAST_SHARE = 0.97
MOST_PULSES_SPENT = SHOTS * sum(unlike(SLOTS, MOST_PULSES)) + sum(LONG)


def pico_steps(file: BenchFile, device: str | None) -> Iterator[Done]:
    """All of them, in the order in which they are safest."""
    yield _step(REQUESTS, file, lambda: _requests(file))
    row = _step(IN_A_ROW, file, lambda: _in_a_row(file, device))
    yield row
    yield _gaps(row)
    yield _step(INTERRUPTED, file, lambda: _interrupted(file, device))
    yield silent_host(file)
    yield dead_in_payload(file)


def silent_host(file: BenchFile) -> Done:
    """Whether it has the board at rest when its host says nothing any more."""
    return _step(SILENT_HOST, file, lambda: _parked(SILENT_HOST, falls_silent(file, file.vth_v)))


def dead_in_payload(file: BenchFile) -> Done:
    """Whether it has when its host dies in the middle of a payload."""
    return _step(DEAD_IN_PAYLOAD, file, lambda: _parked(DEAD_IN_PAYLOAD, dies_in_payload(file, file.vth_v)))


def pulses_of(file: BenchFile) -> int:
    """Dendrite pulses that they take."""
    return MOST_PULSES_SPENT if file.kind != "mock" and file.pulse_source == "pico" else 0


def _step(name: str, file: BenchFile, work: Callable[[], Done]) -> Done:
    lacks = _lacks(name, file)
    if lacks:
        return Done(name, "not done", lacks)
    try:
        with claim(claims(file), "hil accept"):
            return work()
    except HilError as error:
        return Done(name, "failed", str(error))


def _lacks(name: str, file: BenchFile) -> str:
    """What this bench has not, that the step is about."""
    if file.kind == "mock" or file.pico is None:
        return "no Pico on this bench"
    if name in (SILENT_HOST, DEAD_IN_PAYLOAD, INTERRUPTED, IN_A_ROW) and file.pico.dac == "none":
        return "this Pico makes no V_th"
    if name in (IN_A_ROW, INTERRUPTED) and file.pulse_source != "pico":
        return "this Pico plays nothing"
    if name == IN_A_ROW and "pico" not in file.readers:
        return "this Pico counts nothing"
    return ""


def _requests(file: BenchFile) -> Done:
    with closing(Pico(file)) as pico:
        pico.prepare()
        times = request_times_s(pico, file.slot)
    slowest = max((times[name], name) for name in ("id", "beat", "status", "setup"))
    said = ", ".join(f"{name} {seconds * 1e3:.0f} ms" for name, seconds in times.items())
    return Done(REQUESTS, "ok" if slowest[0] < REPLY_S else "failed", said, {"seconds": times, "most": REPLY_S})


def _in_a_row(file: BenchFile, device: str | None) -> Done:
    shots = [probe_frame("accept", file.slot, unlike(SLOTS, MOST_PULSES)) for _ in range(SHOTS)]
    with closing(Pico(file)) as pico, _account(file, device) as account:
        pico.prepare()
        pico.set_threshold(file.vth_v)
        row, machine = in_a_row(pico, account, shots), pico.identity["pico_machine"]
    figures = {
        "machine": machine,
        "gaps_s": row.gaps_s,
        "share": row.share,
        "loading_s": row.loading_s,
        "reading_s": row.reading_s,
        "strays": strays(row),
        "spikes": [int(capture.spikes.sum()) for capture in row.captures],
    }
    detail = (
        f"{SHOTS} of {SLOTS} slots, each loaded beside the one before it, all counted; {strays(row)} spikes strayed"
    )
    return Done(IN_A_ROW, "ok" if strays(row) == 0 else "failed", detail, figures)


def _gaps(row: Done) -> Done:
    """What the Pico's own clock says of them, in steps of a millisecond; a simulated one's are this machine's."""
    if not row.figures:
        return Done(GAPS, "not done", row.detail)
    gaps_s, share = row.figures["gaps_s"], row.figures["share"]
    said = f"{' and '.join(f'{gap * 1e3:.1f}' for gap in gaps_s)} ms (± 1), {share:.1%} of the time plays"
    if "twin" in row.figures["machine"]:
        return Done(GAPS, "not done", f"a simulated Pico's are those of this machine: {said}")
    good = max(gaps_s) <= LONGEST_GAP_S and share >= LEAST_SHARE
    return Done(GAPS, "ok" if good else "failed", said, {"gaps_s": gaps_s, "share": share})


def _interrupted(file: BenchFile, device: str | None) -> Done:
    shot = probe_frame("accept", file.slot.model_copy(update={"mode": "fixed", "window_s": 1e-3}), LONG)
    pico = Pico(file)
    with closing(pico), _account(file, device) as account:
        pico.prepare()
        account.check(shot)
        with account.playing():
            account.promise(shot)
            account.started()
            found = is_interrupted_twice(pico, file.vth_v, shot)
    good = found.at_rest and found.stays and found.latch == "boot" and found.parked
    detail = (
        f"{'at rest' if found.at_rest else 'NOT at rest'}, the REPL {'stays' if found.stays else 'does NOT stay'}; "
        f"{found.back_s:.1f} s after a reset it says {found.latch}, V_th {'parked' if found.parked else 'NOT parked'}"
    )
    return Done(INTERRUPTED, "ok" if good else "failed", detail, {"back_s": found.back_s, "latch": found.latch})


def _parked(name: str, found: Found) -> Done:
    good = found.parked and found.latch in PARKS
    detail = f"it says {found.latch}, V_th {'parked' if found.parked else 'not parked'}"
    return Done(name, "ok" if good else "failed", detail, {"latch": found.latch, "parked": found.parked})


def _account(file: BenchFile, device: str | None) -> Account:
    return Account(load_device(device or file.device), passport_folder(file.passports), "hil accept")
