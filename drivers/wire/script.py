"""What was asked of a bench, and what came of it: written on the tape, and done again from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.errors import HilError
from drivers.signals import Capture, Frame, FrameKey, SlotTiming

if TYPE_CHECKING:
    from drivers.bench import Bench
    from drivers.benchfile import BenchFile
    from drivers.device import DeviceFile
    from drivers.wire.tape import Tape

_ARRAYS = ("pulses", "layer", "channel", "position")


def frame_to_json(frame: Frame) -> dict[str, Any]:
    """A frame as JSON values."""
    return {
        "key": vars(frame.key),
        "timing": frame.timing.model_dump(),
        **{name: getattr(frame, name).tolist() for name in _ARRAYS},
        "first_slot": frame.first_slot,
        "pulses_before": frame.pulses_before,
    }


def frame_of_json(said: dict[str, Any]) -> Frame:
    """The inverse."""
    pulses, layer, channel, position = (np.array(said[name], dtype=np.int32) for name in _ARRAYS)
    timing, key = SlotTiming.model_validate(said["timing"]), FrameKey(**said["key"])
    return Frame(key, timing, pulses, layer, channel, position, int(said["first_slot"]), int(said["pulses_before"]))


def outcome(capture: Capture) -> dict[str, Any]:
    """What of a capture has to come out alike; lengths are measured, and may differ where clocks are read."""
    return {
        "spikes": capture.spikes.tolist(),
        "ok": np.flatnonzero(~capture.ok).tolist(),
        "first_slot": capture.frame.first_slot,
    }


def differing(was: dict[str, Any], now: dict[str, Any]) -> tuple[str, str]:
    """Two outcomes in words, alike if they are: by the first slot whose count differs, and the first of other trust."""
    first = int(now["first_slot"])
    pairs = enumerate(zip(was["spikes"], now["spikes"], strict=False))
    count = next((i for i, (a, b) in pairs if a != b), None)
    trust = min(set(was["ok"]) ^ set(now["ok"]), default=None)
    return _in_words(was, first, count, trust), _in_words(now, first, count, trust)


def _in_words(one: dict[str, Any], first: int, count: int | None, trust: int | None) -> str:
    words = [f"{len(one['spikes'])} slots from {one['first_slot']}"]
    if count is not None:
        words.append(f"{one['spikes'][count]} spikes in slot {first + count}")
    if trust is not None:
        words.append(f"slot {first + trust} {'not trusted' if trust in one['ok'] else 'trusted'}")
    words.append(f"{len(one['ok'])} not trusted")
    return ", ".join(words)


def raised(error: BaseException) -> str:
    """The kind of an error and its text."""
    return f"{type(error).__name__}: {error}"


def _plain(what: str) -> str:
    """An error without what it has in brackets, where a lost link says at which moment it was seen to be lost."""
    return re.sub(r" \(.*\)", "", what) if what.startswith("ConnectionLostError") else what


class TapedBench:
    """A bench whose calls are written on a tape; see `drivers.bench.Bench`."""

    def __init__(self, bench: Bench, tape: Tape) -> None:
        self._bench, self._tape = bench, tape

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bench, name)

    @property
    def temperature_c(self) -> float | None:
        """See Bench."""
        found = self._bench.temperature_c
        self._tape.write(bench="temperature_c")
        return found

    def set_threshold(self, volts: float) -> float:
        """See Bench."""
        self._tape.write(bench="set_threshold", volts=volts)
        try:
            made = self._bench.set_threshold(volts)
        except HilError as error:
            self._tape.write(bench="raised", what=raised(error))
            raise
        self._tape.write(bench="made", volts=made)
        return made

    def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
        """See Bench."""
        self._tape.write(bench="play")
        try:
            for capture in self._bench.play(self._pulled(frames)):
                self._tape.write(bench="capture", **outcome(capture))
                yield capture
        except HilError as error:
            self._tape.write(bench="raised", what=raised(error))
            raise
        except GeneratorExit:
            self._tape.write(bench="abandoned")
            raise
        self._tape.write(bench="played")

    def _pulled(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            self._tape.write(bench="frame", frame=frame_to_json(frame))
            yield frame

    def make_safe(self) -> None:
        """See Bench."""
        self._tape.write(bench="make_safe")
        try:
            self._bench.make_safe()
        except HilError as error:
            self._tape.write(bench="raised", what=raised(error))
            raise

    def __enter__(self) -> TapedBench:
        self._bench.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._tape.write(bench="close", after=exc[0] is not None)
        try:
            self._bench.__exit__(*exc)
        except HilError as error:
            self._tape.write(bench="raised", what=raised(error))
            raise


def taped(tape: Tape, file: BenchFile, device: DeviceFile, opening: Callable[[], Bench]) -> Bench:
    """Open a bench with every call of it on the tape, the opening first; raises as the bench does."""
    tape.write(bench="open", file=file.model_dump(mode="json"), device=device.model_dump(mode="json"))
    try:
        bench = opening()
    except HilError as error:
        tape.write(bench="raised", what=raised(error))
        raise
    tape.write(bench="opened")
    return TapedBench(bench, tape)


@dataclass(frozen=True)
class Otherwise:
    """A call that came out otherwise: on the tape, and now."""

    call: str
    was: str
    now: str


class Script:
    """The calls of a tape, done again on a bench one after the other; `otherwise` is the first that differed, and
    `over` is called before a bench stops playing for that: what it says then follows from it.

    `names` are addresses of parts on the tape by what they are now, for errors name them.
    """

    def __init__(self, calls: list[dict[str, Any]], names: dict[str, str], over: Callable[[], None]) -> None:
        self._calls, self._names, self._over = calls, names, over
        self._at = 0
        self.otherwise: Otherwise | None = None
        self.captures = 0
        self.last: HilError | None = None  # with which the user of the bench left it

    def _next(self) -> str:
        return str(self._calls[self._at]["bench"]) if self._at < len(self._calls) else ""

    def _take(self) -> dict[str, Any]:
        call = self._calls[self._at]
        self._at += 1
        return call

    def _skip(self, *names: str) -> None:
        while self._next() in names:
            self._take()

    def _compare(self, call: str, was: str, now: str) -> None:
        if was != now and self.otherwise is None:
            self.otherwise = Otherwise(call, was, now)

    def result(self, call: str, now: str) -> None:
        """What the tape has as the outcome of a call just done, against what it is now."""
        for here, there in self._names.items():
            now = now.replace(here, there)
        was = "nothing"
        if self._next() in ("raised", "made", "opened"):
            said = self._take()
            was = str(said.get("what", said.get("volts", said["bench"])))
        if _plain(was) != _plain(now):
            self._compare(call, was, now)

    def opens(self) -> bool:
        """Whether a bench is opened next, having gone there."""
        while self._next() and self.otherwise is None:
            if self._take()["bench"] == "open":
                return True
        return False

    def closing(self) -> HilError | None:
        """The bench is about to be closed: the error with which it was left, None where all was well."""
        self._skip("temperature_c")
        left = self._next() == "close" and bool(self._take().get("after"))
        return self.last if left else None

    def closed(self) -> None:
        """The bench has been closed without an error."""
        if self._next() == "raised":
            self.result("close", "nothing")

    def do(self, bench: Bench) -> None:
        """Everything up to the closing of the bench."""
        while self._next() not in ("", "close", "open") and self.otherwise is None:
            call = self._take()
            name = call["bench"]
            if name == "temperature_c":
                _ = bench.temperature_c
            elif name == "set_threshold":
                self._attempt(name, bench, float(call["volts"]))
            elif name == "make_safe":
                self._attempt(name, bench, None)
            elif name == "play":
                self._play(bench)

    def _attempt(self, call: str, bench: Bench, volts: float | None) -> None:
        now = "nothing"
        try:
            if volts is None:
                bench.make_safe()
            else:
                now = str(bench.set_threshold(volts))
        except HilError as error:
            now = raised(error)
            self.last = error
        self.result(call, now)

    def _play(self, bench: Bench) -> None:
        """One `play`: the frames that were pulled, and the captures that came, in that order."""
        playing = bench.play(self._frames())
        try:
            for capture in playing:
                self._skip("frame", "temperature_c")
                if self._next() != "capture":
                    break
                said = self._take()
                self.captures += 1
                self._compare(f"capture {self.captures}", *differing(said, outcome(capture)))
                self._skip("frame", "temperature_c")
                if self.otherwise is not None or self._next() == "abandoned":
                    break
        except HilError as error:
            self._skip("frame")
            self.result("play", raised(error))
            self.last = error
            return
        finally:
            self._leave(playing)
        self._skip("frame", "temperature_c")
        if self._next() in ("played", "abandoned"):
            self._take()
        elif self._next() in ("raised", "capture"):
            self._compare("play", str(self._take().get("what", "another capture")), "all was played")

    def _leave(self, playing: Iterator[Capture]) -> None:
        """Play no more; that this fails too, when something came out otherwise, says nothing more."""
        if self.otherwise is not None:
            self._over()
        try:
            if (close := getattr(playing, "close", None)) is not None:
                close()
        except HilError as error:
            self._compare("play", "left", raised(error))
            self.last = error

    def _frames(self) -> Iterator[Frame]:
        """The frames of this `play`, wherever between its captures they were pulled."""
        for call in self._calls[self._at :]:
            if call["bench"] in ("played", "raised", "abandoned", "play", "close"):
                return
            if call["bench"] == "frame":
                yield frame_of_json(call["frame"])
