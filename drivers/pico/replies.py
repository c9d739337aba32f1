"""What a Pico answers: the fields of its replies, and what its errors and its latch mean."""

from __future__ import annotations

from drivers.errors import BenchError, CaptureError, EmergencyStopError, LimitError, UnsafeError

NOT_OURS_TO_CLEAR = ("estop", "stall", "internal")  # latches that a person has to look into first

ERRORS: dict[str, type[BenchError] | type[LimitError]] = {
    "range": LimitError,
    "capture": CaptureError,
    "latched": UnsafeError,
}


class Fields(dict[str, str]):
    """The fields of a reply; one that is missing or no number is a BenchError that names it."""

    def __init__(self, verb: str, fields: dict[str, str]) -> None:
        super().__init__(fields)
        self._verb = verb

    def __missing__(self, name: str) -> str:
        raise BenchError(f"the Pico's reply to {self._verb} lacks {name}: its firmware is not ours, run `hil flash`")

    def number(self, name: str) -> int:
        """A field that is a whole number."""
        try:
            return int(self[name])
        except ValueError as error:
            raise BenchError(
                f"the Pico's reply to {self._verb} has {name}={self[name]}, which is no whole number: run `hil flash`"
            ) from error


def latched(reason: str) -> UnsafeError:
    """What a latch means, and what to do."""
    if reason == "estop":
        return EmergencyStopError(
            "the emergency stop at the Pico was pressed: find out why, release it, then `hil bench clear`"
        )
    if reason == "silence":
        return UnsafeError(
            "the Pico parked V_th because it heard nothing from this computer (it was paused or too busy): what was "
            "played since does not count; start again"
        )
    then = "find out why, then `hil bench clear`" if reason in NOT_OURS_TO_CLEAR else "start again"
    return UnsafeError(f"the Pico has made the board safe and is latched: {reason}; {then}")
