"""How things fail: one small tree. The text of an error is one line that says what to do next."""

from __future__ import annotations


class HilError(Exception):
    """Anything this project refuses or fails to do; its text is one line that says what to do next."""


class InputError(HilError, ValueError):
    """Something the user gave (a file, a field, an argument) cannot be used."""


class LimitError(HilError):
    """A plan asks for more than the bench, the device or the user's budget allows; nothing was played."""


class CalibrationError(HilError):
    """A calibration is missing, foreign, expired, or could not be measured."""


class RunFileError(HilError):
    """A run file cannot be opened, written or trusted."""


class BenchError(HilError):
    """The bench failed; it has been made safe."""


class BusyError(BenchError):
    """Another program has what this one needs; nothing was touched."""


class ConnectionLostError(BenchError, ConnectionError):
    """A part of the bench stopped answering."""


class CaptureError(BenchError):
    """What was captured cannot be what was played."""


class UnsafeError(BenchError):
    """The bench could not be brought to rest, or refuses to play until a person clears a latch."""


class EmergencyStopError(UnsafeError):
    """The emergency stop is pressed."""


class WorkerError(HilError):
    """A process or a cluster that was to work has died."""


class TwinError(HilError):
    """The simulated board was misused where hardware would quietly misbehave."""


class HilWarning(UserWarning):
    """Something that still works and should be mended; the command line says it in one line."""
