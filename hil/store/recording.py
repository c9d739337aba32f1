"""Record, resume, replay and retake: a bench that remembers.

A `RecordingBench` has the shape of a bench. What the run file already holds is answered from there; what is missing is
played on the bench inside, and is on the disk before anybody sees it. So the host loop that records a run also resumes
it, and without a bench inside it replays it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from shlex import quote
from typing import TYPE_CHECKING, cast

import numpy as np

from calibration.record import VTH_SAME_V, VTH_STEP_V
from drivers.errors import CaptureError, InputError, RunFileError
from drivers.signals import Capture, Frame
from hil.store.retakes import Shot, name, slots_again, with_retakes
from hil.store.rows import ShotRow, shot_layer
from hil.store.runfile import DamagedShotError, RunFile

if TYPE_CHECKING:
    from drivers.bench import Bench

Reader = Callable[[int], Capture]
Retaking = Callable[[Frame, str], None]  # slots that are about to be played again, and why
Played = Callable[[Capture], None]  # a shot that the bench inside has played


@dataclass
class _Piece:
    """A part of a frame: one recorded shot, or a gap between recorded shots that is played as one or more."""

    frame: Frame
    shots: deque[Shot] = field(default_factory=deque)
    filled: int = 0  # slots with a first capture

    @property
    def to_play(self) -> bool:
        """Whether any slot of it still has to be played."""
        return self.filled < len(self.frame) or any(not shot.complete for shot in self.shots)


@dataclass
class _Stream:
    """What is under way: pieces in the order the host gets them; what the bench was given and owes; slots to retake."""

    retaking: Retaking
    order: deque[_Piece] = field(default_factory=deque)
    owed: deque[tuple[Frame, _Piece | Shot]] = field(default_factory=deque)
    retakes: deque[tuple[Frame, Shot]] = field(default_factory=deque)
    received: int = 0  # slots of owed[0] that have come back

    def ready(self) -> Iterator[Capture]:
        """Captures the host may have now."""
        while self.order:
            piece = self.order[0]
            while piece.shots and piece.shots[0].complete:
                yield piece.shots.popleft().merged()
            if piece.shots or piece.filled < len(piece.frame):
                return
            self.order.popleft()

    def retake(self, shot: Shot) -> None:
        """Queue the slots of a shot that have to be taken again, if any."""
        if shot.waiting == 0 and not shot.complete:
            for frame in slots_again(shot):
                shot.waiting += len(frame)
                self.retaking(frame, shot.why)
                self.retakes.append((frame, shot))

    def feed(self, frames: Iterator[list[_Piece]], known: list[list[_Piece]]) -> Iterator[Frame]:
        """What the bench plays next: retakes first, then the gaps of the next frame.

        Ends before a frame that needs no playing, and leaves that one in `known`.
        """
        while True:
            while self.retakes:
                frame, shot = self.retakes.popleft()
                self.owed.append((frame, shot))
                yield frame
            pieces = next(frames, None)
            if pieces is None:
                return
            if not any(piece.to_play for piece in pieces):
                known.append(pieces)
                return
            self.order.extend(pieces)
            for piece in pieces:
                for shot in piece.shots:
                    self.retake(shot)
                if piece.filled < len(piece.frame):
                    self.owed.append((piece.frame, piece))
                    yield piece.frame

    def take(self, capture: Capture) -> None:
        """Put a capture where it belongs; raises CaptureError when it is not what the bench owes next."""
        frame, home = self.owed[0] if self.owed else (capture.frame, None)
        if (
            home is None
            or capture.frame.key != frame.key
            or capture.frame.first_slot != frame.first_slot + self.received
        ):
            raise CaptureError(f"the bench returned {name(capture.frame)}, which was not the next to be played")
        self.received += len(capture.frame)
        if self.received == len(frame):
            self.owed.popleft()
            self.received = 0
        if isinstance(home, _Piece):
            home.filled += len(capture.frame)
            home.shots.append(shot := Shot([capture]))
        else:
            shot = home
            shot.captures.append(capture)
            shot.waiting -= len(capture.frame)
        self.retake(shot)


def _made_key(volts: float) -> str:
    """The fact of a run file that says what was made of a V_th that was asked for."""
    return f"vth_made_v/{volts:.9g}"


def made_v(run: RunFile, volts: float) -> float | None:
    """The V_th that a recorded bench made of what was asked for; None where nobody asked, or before it was recorded."""
    found: float | None = run.facts.get(_made_key(volts))
    return found


class RecordingBench:
    """A bench whose every shot goes through a run file.

    `inner` plays what the file lacks; None makes a replay, where a missing slot is a RunFileError. `reader` loads a
    recorded shot (by default its counts, without traces). `stopping` is asked after every recorded shot: true raises
    KeyboardInterrupt there, with the shot safe in the file. Slots that a bench calls not ok are taken again, up to
    three times in all; then CaptureError; `retaking` is told. Failed attempts stay in the file. `played` is told of
    what the bench inside has played, which what was recorded before is not.
    """

    def __init__(
        self,
        inner: Bench | None,
        run: RunFile,
        *,
        reader: Reader | None = None,
        stopping: Callable[[], bool] | None = None,
        retaking: Retaking = lambda _frame, _why: None,
        played: Played = lambda _capture: None,
    ) -> None:
        self._retaking, self._has_played = retaking, played
        self._inner = inner
        self._run = run
        self._read = reader or run.load
        self._stopping = stopping

    @property
    def identity(self) -> dict[str, str]:
        """Of the bench inside, or of the one that was recorded."""
        if self._inner is not None:
            return self._inner.identity
        recorded: dict[str, str] = self._run.fact("identity")
        return recorded

    @property
    def tick_s(self) -> float:
        """Of the bench inside, or of the one that was recorded."""
        if self._inner is not None:
            return self._inner.tick_s
        recorded: float = self._run.fact("tick_s")
        return recorded

    @property
    def temperature_c(self) -> float | None:
        """Of the bench inside; None in a replay."""
        return self._inner.temperature_c if self._inner is not None else None

    @property
    def spent_s(self) -> dict[str, float]:
        """Of the bench inside; empty in a replay."""
        return self._inner.spent_s if self._inner is not None else {}

    @property
    def threshold_v(self) -> float | None:
        """Of the bench inside; None in a replay."""
        return self._inner.threshold_v if self._inner is not None else None

    def set_threshold(self, volts: float) -> float:
        """Set V_th of the bench inside; returns what was made when this run first asked for it, recorded or just now.

        Later ones ask for just that, so that a resumed run is played as it began. Raises InputError where it cannot be.
        """
        known_v: float | None = self._run.facts.get(_made_key(volts))
        if self._inner is None:
            return volts if known_v is None else known_v
        far = known_v is not None and abs(known_v - volts) > VTH_STEP_V
        made_v = self._inner.set_threshold(known_v if known_v is not None and far else volts)
        if known_v is None:
            self._run.add_fact(_made_key(volts), made_v)
            return made_v
        if abs(made_v - known_v) > VTH_SAME_V:
            raise InputError(
                f"run file {self._run.path} has V_th = {volts:g} V made as {known_v:.4g} V, and the bench makes "
                f"{made_v:.4g} V now: set it as it was, or begin a new run"
            )
        return known_v

    def make_safe(self) -> None:
        """Bring the bench inside to rest."""
        if self._inner is not None:
            self._inner.make_safe()

    def __enter__(self) -> RecordingBench:
        return self

    def __exit__(self, *exc: object) -> None:
        self.make_safe()

    def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
        """Answer frames in order, from the file or the bench; see `drivers.bench.Bench.play`.

        Yields one capture a shot; a shot with retaken slots comes as one, with all its slots ok.
        """
        cut = map(self._pieces, frames)
        for pieces in cut:
            known = [pieces]
            if any(piece.to_play for piece in pieces):
                known = []  # the bench streams from here on, until it meets a frame that is wholly in the file
                yield from self._played(chain([pieces], cut), known)
            for piece in chain.from_iterable(known):
                yield from (shot.merged() for shot in piece.shots)

    def _played(self, frames: Iterator[list[_Piece]], known: list[list[_Piece]]) -> Iterator[Capture]:
        if self._inner is None:
            raise AssertionError("a replay has nothing to play")
        stream = _Stream(self._retaking)
        while True:
            captures = cast("Generator[Capture]", self._inner.play(stream.feed(frames, known)))
            with closing(captures):
                for capture in self._kept(captures):
                    stream.take(capture)
                    yield from stream.ready()
            if not stream.retakes:
                break
            frames = iter(())
        yield from stream.ready()
        if stream.order:
            raise CaptureError(f"the bench returned no capture for part of {name(stream.order[0].frame)}")

    def _kept(self, captures: Iterator[Capture]) -> Iterator[Capture]:
        """Each capture once it is on the disk. It gets there while the bench plays the next shot."""
        before: tuple[Capture, Future[int]] | None = None
        for capture in captures:
            now = capture, self._run.add_shot(capture)
            self._has_played(capture)
            if self._stopping is not None and self._stopping():
                now[1].result()
                raise KeyboardInterrupt
            if before is not None:
                before[1].result()
                yield before[0]
            before = now
        if before is not None:
            before[1].result()
            yield before[0]

    def _pieces(self, frame: Frame) -> list[_Piece]:
        """Cut a frame into recorded shots and the gaps between them."""
        if not len(frame):
            return []
        first, end = frame.first_slot, frame.first_slot + len(frame)
        rows = self._run.shots_of(frame.key, shot_layer(frame), first, end)
        pieces: list[_Piece] = []
        at = first
        for attempts in with_retakes(rows, frame.key.attempt):
            row = attempts[0]
            part = frame.part(row.first_slot - first, row.stop - first)
            shot = self._recorded(part, attempts)
            if shot is None:
                continue
            if at < row.first_slot:
                pieces.append(_Piece(frame.part(at - first, row.first_slot - first)))
            pieces.append(_Piece(part, deque([shot]), filled=len(part)))
            at = row.stop
        if at < end:
            pieces.append(_Piece(frame.part(at - first, len(frame))))
        if self._inner is None:
            self._insist(pieces)
        return pieces

    def _insist(self, pieces: list[_Piece]) -> None:
        """A replay needs every slot."""
        for piece in pieces:
            if piece.to_play:
                raise RunFileError(
                    f"run file {self._run.path} lacks {name(piece.frame)}; complete it: "
                    f"hil resume {quote(str(self._run.path))} "
                    "(or replay it with the version that recorded it)"
                )

    def _recorded(self, part: Frame, rows: list[ShotRow]) -> Shot | None:
        """A shot from the file with its retakes, in the order of attempts; None when damaged and set aside."""
        try:
            captures = [self._read(row.id) for row in rows]
        except DamagedShotError:
            if self._inner is None:
                raise
            for row in rows:
                self._run.set_aside(row.id)
            return None
        was = captures[0].frame
        if not np.array_equal(was.pulses, part.pulses) or was.timing != part.timing:
            raise RunFileError(
                f"run file {self._run.path}: {name(part)} was recorded with other pulses or slot timing than would be "
                "played now (a layer that is decoded otherwise changes what later layers are sent)"
            )
        return Shot(captures)
