"""The parts of a Pi bench, opened as its bench file names them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.audit import AuditedReader

if TYPE_CHECKING:
    from drivers.bench import AxonReader, Panel, PulseSource, ThresholdSource
    from drivers.benchfile import BenchFile
    from drivers.pico.device import Pico


@dataclass(frozen=True)
class Parts:
    """Open parts.

    `most_slots` and `most_pulses` bound a shot where a part does. `gapless` parts take the next shot while one
    plays, and let it follow without a pause. `thermometer` is a part that measures its temperature.
    """

    source: PulseSource
    reader: AxonReader
    threshold: ThresholdSource
    panel: Panel | None = None
    most_slots: int | None = None
    most_pulses: int | None = None
    gapless: bool = False
    thermometer: Pico | None = None

    def identity(self) -> dict[str, str]:
        """What each part says of itself."""
        found: dict[str, str] = {}
        for part in (self.source, self.reader, self.threshold):
            found |= getattr(part, "identity", {})
        return found

    def safing(self) -> list[Callable[[], None]]:
        """What brings the bench to rest, in order: pulses first, then the threshold, then the supply."""
        steps: list[Callable[[], None]] = [self.source.stop, self.threshold.park]
        if self.panel is not None:
            panel = self.panel
            steps.append(lambda: panel.enable(on=False))
        return steps

    def close_with(self, stack: ExitStack) -> None:
        """Have every part closed, once each, when the stack unwinds, the pulse source last."""
        closed: list[object] = []
        for part in (self.source, self.threshold, self.reader, self.panel):
            if part is not None and not any(part is other for other in closed):
                closed.append(part)
                stack.callback(part.close)


def open_parts(file: BenchFile, on_stop: Callable[[], object]) -> Parts:
    """Open everything that a bench file of kind pi names; what was opened is closed again when something fails.

    Raises InputError, ConnectionLostError or BenchError.
    """
    with ExitStack() as opened:
        pico = _pico(file, opened)
        source = _source(file, pico, opened)
        reader = _reader(file, pico, source.tick_s, opened)
        threshold = _threshold(file, pico, opened)
        panel = _panel(file, on_stop, opened)
        opened.pop_all()  # the bench closes them from here on
        counts = file.axon_reader != "scope"
        return Parts(
            source,
            reader,
            threshold,
            panel,
            most_slots=pico.most_slots if pico is not None and (source is pico or counts) else None,
            most_pulses=pico.most_stamped if pico is not None and source is not pico and counts else None,
            gapless=pico is not None and source is pico and reader is pico,
            thermometer=pico,
        )
    raise AssertionError("unreachable")


def _pico(file: BenchFile, opened: ExitStack) -> Pico | None:
    used = "pico" in (file.pulse_source, file.threshold.source) or file.axon_reader in ("pico", "both")
    if not used or file.pico is None or file.wiring is None:
        return None
    from drivers.pico.device import Pico

    pico = Pico(file)
    opened.callback(pico.close)
    return pico


def _source(file: BenchFile, pico: Pico | None, opened: ExitStack) -> PulseSource:
    if pico is not None and file.pulse_source == "pico":
        return pico
    from drivers.pigpio.source import PigpioPulses

    assert file.wiring is not None  # noqa: S101 (the bench file has been checked)
    pulses = PigpioPulses(file.pigpio, file.wiring, file.board)
    opened.callback(pulses.close)
    return pulses


def _reader(file: BenchFile, pico: Pico | None, tick_s: float, opened: ExitStack) -> AxonReader:
    if pico is not None and file.axon_reader == "pico":
        return pico
    from drivers.ds4024.reader import ScopeReader

    assert file.scope is not None  # noqa: S101 (the bench file has been checked)
    scope = ScopeReader(file.scope, file.spikes, file.board.axon_width_s, tick_s)
    opened.callback(scope.close)
    if pico is not None and file.axon_reader == "both":
        return AuditedReader(pico, scope, file.scope.audit_every)
    return scope


def _threshold(file: BenchFile, pico: Pico | None, opened: ExitStack) -> ThresholdSource:
    if pico is not None and file.threshold.source == "pico":
        return pico
    if file.threshold.source == "manual":
        from drivers.threshold.manual import ManualThreshold

        return ManualThreshold(file.limits)
    from drivers.threshold.dac import DacThreshold

    threshold = DacThreshold(file.threshold, file.limits)
    opened.callback(threshold.close)
    return threshold


def _panel(file: BenchFile, on_stop: Callable[[], object], opened: ExitStack) -> Panel | None:
    if file.panel is None:
        return None
    from drivers.panel import GpioPanel

    panel = GpioPanel(file.panel, on_stop)
    opened.callback(panel.close)
    return panel
