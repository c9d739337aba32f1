"""What a check of a bench finds and advises; and the loopback check, known pulses through the whole bench.

Three shots, whose answer tells of the wiring. With V_th at its maximum nothing may fire; at its minimum the
low-resistance state (or a resistor in the memristor's place) fires by itself in every slot; and at the working V_th a
memristor answers pulses through every select address. A resistor has no pulses to count, so it is told by firing alike
with and without them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from drivers.decode.spikes import TORN
from drivers.errors import BenchError, HilError, UnsafeError
from drivers.signals import probe_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from drivers.bench import Bench
    from drivers.benchfile import BenchFile
    from drivers.signals import Capture, Frame, SlotTiming, Trace

_REMEDY = re.compile(
    r"[:;] ((?:check|set|restart|update|start|stop|exchange|install|use|run|release|restore|move|press|switch|plug"
    r"|put) .*)"
)
PULSES = 64
ROUNDS = 4  # slots an address
TRIES, BUSY_TRIES = 3, 6
BUSY = "this computer was too busy"  # of a note: what was found tells nothing of the bench
REMEDY = "check the sync wire and the pulse source's clock, and that no other program uses it"
LOGIC_V = (2.4, 5.5)  # a high level outside means a wrong probe factor or a weak pull-up


@dataclass(frozen=True)
class Check:
    """One start-up check: what was looked at, whether it is well, what was found, and what to do if it is not."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def failed(name: str, error: Exception, otherwise: str) -> Check:
    """A failed check of what an error says: in errors of ours what to do follows what is wrong; others are faults."""
    if not isinstance(error, HilError):
        return Check(name, False, f"{type(error).__name__}: {error}", "a fault of the program: report this line")
    text = str(error)
    found = max(_REMEDY.finditer(text), key=lambda match: match.start(), default=None)
    return Check(name, False, text[: found.start()], found[1]) if found else Check(name, False, text, otherwise)


def each(name: str, works: Iterable[Callable[[], Check]], advice: str) -> Iterator[Check]:
    """What each check finds, by itself: one that fails, for whatever reason, is a row of `name` and hides no other."""
    for work in works:
        try:
            yield work()
        except Exception as error:  # noqa: BLE001 (a table with a hole in it tells more than none)
            yield failed(name, error, advice)


def loopback(bench: Bench, file: BenchFile) -> Iterator[Check]:
    """Play and judge, worst first: stops at the first shot that cannot be captured. Leaves the bench safe."""
    addresses = max(1, file.board.addresses)
    try:
        quiet = _play(bench, file, file.limits.vth_max_v, addresses)
        yield from _levels(quiet)
        yield _none_fire(quiet, file)
        loud = _play(bench, file, file.limits.vth_min_v, addresses, loud=True)
        yield _all_fire(loud, file)
        yield from _marred(loud)
        yield _every_address(_play(bench, file, file.vth_v, addresses), file, addresses)
    except UnsafeError:
        raise
    except BenchError as error:
        yield failed("loopback", error, "mend this first; see docs/how-to/bring-up.md#loopback")
    finally:
        bench.make_safe()


@runtime_checkable
class Provable(Protocol):
    """A part with faster ways of working that are used only once they have been proven on the bench."""

    def prove(self, play: Callable[[Frame], Capture], timing: SlotTiming) -> Iterator[Check]:
        """Try them on known pulses, which `play` plays as one shot at the working V_th; keeps what came of it."""
        ...


@runtime_checkable
class Proving(Protocol):
    """A bench with parts that may work faster once that is proven; see `drivers.pi.PiBench.prove`."""

    def prove(self) -> Iterator[Check]:
        """Known pulses for each; leaves the bench safe."""
        ...


def proofs(bench: Bench) -> Iterator[Check]:
    """What parts of a bench may do faster from now on, where they have anything to prove."""
    if isinstance(bench, Proving):
        yield from bench.prove()


def _play(bench: Bench, file: BenchFile, vth_v: float, addresses: int, *, loud: bool = False) -> Capture:
    """All shots of it as one, with the traces of the first: where slots are long, there are several.

    Where it is to be `loud`, a slot need only have spikes: far above a low V_th the comparator fires again before a
    reader without traces has seen the axon at rest, which does not call that a count.
    """
    bench.set_threshold(vth_v)
    frame = probe_frame(f"loopback {vth_v:g} V", file.slot, [PULSES] * (ROUNDS * addresses))
    notes: tuple[str, ...] = ()
    tries = 0
    while tries < TRIES or (tries < BUSY_TRIES and BUSY in " ".join(notes)):
        tries += 1  # a shot that was lost is followed by one that shows why
        captures = list(bench.play([frame]))
        spikes, slot_s, ok = (
            np.concatenate(of) for of in zip(*((c.spikes, c.slot_s, c.ok) for c in captures), strict=True)
        )
        unseen = loud and not any(capture.traces for capture in captures)  # a trace shows what is wrong with pulses
        bad, notes = int((~ok & ~(unseen & (spikes > 0))).sum()), _notes(captures)
        if not bad:
            bench_s = sum(capture.bench_s for capture in captures)
            whole = replace(captures[0], frame=frame, spikes=spikes, slot_s=slot_s, ok=ok, bench_s=bench_s)
            return replace(whole, notes=notes)
    told = "; ".join(notes)
    remedy = "check the axon wire, its pull-up, the one-shot and the probe's ground" if "axon" in told else REMEDY
    if BUSY in told:
        remedy = "stop other programs on it, then try again"
    raise BenchError(f"{bad} of {len(frame)} known slots were late or missing ({told}): {remedy}")


def _notes(captures: Iterable[Capture]) -> tuple[str, ...]:
    """Each once, in order."""
    return tuple(dict.fromkeys(note for capture in captures for note in capture.notes))


def fires(bench: Bench, file: BenchFile) -> bool:
    """Whether every slot fires at the lowest V_th and none at the highest. Raises BenchError."""
    addresses = max(1, file.board.addresses)
    quiet = _play(bench, file, file.limits.vth_max_v, addresses)
    loud = _play(bench, file, file.limits.vth_min_v, addresses, loud=True)
    bench.make_safe()
    return bool((quiet.spikes == 0).all() and (loud.spikes[loud.frame.played] > 0).all())


def heeds_threshold(bench: Bench, file: BenchFile) -> bool:
    """Whether anything changes between the highest V_th and the lowest, be it only what a reader refuses to count."""
    found = []
    for vth_v in (file.limits.vth_max_v, file.limits.vth_min_v):
        try:
            found.append(str(_play(bench, file, vth_v, max(1, file.board.addresses)).spikes))
        except UnsafeError:
            raise
        except BenchError as error:
            found.append(str(error))
    bench.make_safe()
    return found[0] != found[1]


def _levels(capture: Capture) -> Iterator[Check]:
    for trace in capture.traces:
        if trace.name in ("sync", "dendrite"):
            low_v, high_v = _extremes(trace)
            ok = LOGIC_V[0] <= high_v <= LOGIC_V[1] and abs(low_v) < 0.8
            advice = (
                "" if ok else f"check the {trace.name} probe's switch against scope.probe, its ground, and the line"
            )
            yield Check(f"level of {trace.name}", ok, f"{low_v:.2f}…{high_v:.2f} V", advice)


def _extremes(trace: Trace) -> tuple[float, float]:
    low, high = np.quantile(trace.volts, [0.001, 0.999])
    return float(low), float(high)


def _none_fire(capture: Capture, file: BenchFile) -> Check:
    fired = int((capture.spikes > 0).sum())
    return Check(
        "quiet at the highest V_th",
        fired == 0,
        f"{fired} of {len(capture.frame)} slots fired at {file.limits.vth_max_v:g} V",
        "" if fired == 0 else "V_th does not reach the comparator, or its inputs are swapped (inverted comparator)",
    )


def _all_fire(capture: Capture, file: BenchFile) -> Check:
    silent = int((capture.spikes[capture.frame.played] == 0).sum())
    return Check(
        "fires at the lowest V_th",
        silent == 0,
        f"{silent} of {len(capture.frame)} slots stayed silent at {file.limits.vth_min_v:g} V",
        ""
        if silent == 0
        else "axon stuck low: check comparator supply and pull-up, sense current, and V_th at the pin",
    )


def _marred(capture: Capture) -> Iterator[Check]:
    """Axon pulses that were counted although something was wrong with them: it may get worse."""
    wrong = [note for note in capture.notes if TORN in note]
    if wrong:
        advice = "check the axon line: its ground, its pull-up, and the one-shot's supply; counts are right so far"
        yield Check("axon pulses", False, "; ".join(wrong), advice)


def _every_address(capture: Capture, file: BenchFile, addresses: int) -> Check:
    spikes = capture.spikes.reshape(ROUNDS, addresses).sum(axis=0)
    dead = np.flatnonzero(spikes == 0)
    name, detail = "pulses reach the neuron", f"{spikes.tolist()} spikes by address at {file.vth_v:g} V"
    if not len(dead):
        return Check(name, True, detail, "")
    if len(dead) == addresses:
        return Check(name, False, detail, "no spike through any address: check the dendrite line, or V_th is too high")
    return Check(name, False, detail, f"select{int(dead[0])} never closes its switch: check its wire and MAX313 input")
