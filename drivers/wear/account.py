"""The account that a bench keeps of its device: what a shot costs is written down before it leaves.

A bench of real parts has one whoever opens it, so that no pulse reaches a device uncounted.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from drivers.claims import claim
from drivers.errors import HilWarning, LimitError
from drivers.wear.ledger import Ledger, Wear
from drivers.wear.passport import amend, ledger_file, load_passport, passport_file, save_passport

if TYPE_CHECKING:
    from drivers.device import DeviceFile
    from drivers.signals import Frame


def device_claim(device: DeviceFile, folder: Path) -> str:
    """What only one program may have: the device, by its passport."""
    return f"device {device.id} of {passport_file(device.id, folder).absolute()}"


def _described(device: DeviceFile) -> str:
    """What its file says of a device, in words."""
    return f"{device.description!r} (endurance {device.endurance_pulses:,} pulses, {device.endurance_resets:,} resets)"


class Account:
    """One device's passport and ledger while a bench plays it: nobody else may. Close it to let go of both.

    A bench says what happens to every shot, in order: `promise` when it takes the shot, `started` just before the shot
    leaves, `played` when it has been captured.
    """

    def __init__(self, device: DeviceFile, folder: Path, purpose: str) -> None:
        """Open it; raises BusyError when another program plays the device, InputError when its wear is not known."""
        self.device = device
        self.folder = folder
        self._closed = False
        with ExitStack() as stack:
            path = passport_file(device.id, folder)
            stack.enter_context(claim([device_claim(device, folder)], purpose))
            had = load_passport(device.id, folder)
            if not path.exists():
                save_passport(had, folder)
            self._ledger = stack.enter_context(
                Ledger(ledger_file(device.id, folder), Wear(had.pulses, had.resets, had.played_s))
            )
            amend(device.id, folder, has_ledger=True, in_hand=0, described=_described(device))
            if had.described not in ("", _described(device)):
                warnings.warn(
                    f"device {device.id!r} was {had.described} when it was played last, and is {_described(device)} by "
                    "its file now; both count as one device: if they are two, give one of them another id",
                    HilWarning,
                    stacklevel=2,
                )
            self._stack = stack.pop_all()

    @property
    def wear(self) -> Wear:
        """What the device has had, with what is promised."""
        return self._ledger.wear

    def check(self, frame: Frame) -> None:
        """Raise LimitError before a frame that the device's endurance does not allow."""
        for what, had, more, most in (
            ("pulses", self.wear.pulses, frame.total_pulses, self.device.endurance_pulses),
            ("resets", self.wear.resets, int(frame.played.sum()), self.device.endurance_resets),
        ):
            if had + more > most:
                raise LimitError(
                    f"device {self.device.id!r} has had {had:,} {what} and would get {more:,} more; "
                    f"its file allows {most:,} in its life"
                )

    def promise(self, shot: Frame) -> None:
        """The bench takes a shot: its cost is on its way to the disk."""
        self._ledger.promise(shot.total_pulses, int(shot.played.sum()))

    def started(self) -> None:
        """The oldest promised shot leaves now; returns when its cost is on the disk. Raises InputError when not."""
        self._ledger.started()

    def played(self, seconds: float) -> None:
        """A shot was captured; so long it played."""
        self._ledger.played(seconds)

    @contextmanager
    def playing(self) -> Iterator[None]:
        """While a bench plays: in the end, what was promised and never started is taken back."""
        try:
            yield
        finally:
            self._ledger.settle()

    def close(self) -> None:
        """Write the totals into the passport and let go; may be called twice."""
        with self._stack.pop_all():
            if self._closed:
                return
            self._closed = True
            self._ledger.settle()
            wear = self.wear
            amend(self.device.id, self.folder, pulses=wear.pulses, resets=wear.resets, played_s=wear.played_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
