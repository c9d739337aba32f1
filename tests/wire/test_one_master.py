"""One bench, one master: looking does not disturb it, and whoever comes second is told who has it."""

from __future__ import annotations

import threading

import pytest

from drivers.device import load_device
from drivers.errors import BusyError
from drivers.parts.assembly import check_parts
from drivers.pi import PiBench
from drivers.signals import SlotTiming, probe_frame
from tests.wire.twin import twin_bench

pytestmark = pytest.mark.wire


@pytest.mark.parametrize(("source", "reader"), [("pigpio", "scope"), ("pico", "pico")])
def test_doctor_during_a_run_changes_no_count(source: str, reader: str) -> None:
    """Fifty times, from another thread, while frames play."""
    frame = probe_frame("test", SlotTiming(), range(1, 41))
    wanted = list(range(1, 41))  # the ideal device fires at every pulse
    with twin_bench(source, reader) as (bench, _):
        looked = threading.Event()
        rows: list[str] = []

        def look() -> None:
            for _ in range(50):
                rows.extend(check.detail for check in check_parts(bench.file) if not check.ok)
            looked.set()

        doctor = threading.Thread(target=look)
        bench.set_threshold(0.7)
        doctor.start()
        try:
            while not looked.is_set() and doctor.is_alive():
                (capture,) = bench.play([frame])
                assert capture.ok.all()
                assert capture.spikes.tolist() == wanted
        finally:
            doctor.join(60)
        assert looked.is_set()
        assert rows
        assert all(f"is in use by bench '{bench.file.name}'" in row for row in rows)


def test_the_second_is_told_who_has_the_bench() -> None:
    with twin_bench("pigpio", "pico") as (bench, _):
        with pytest.raises(BusyError, match=r"pigpiod localhost:\d+ is in use by bench 'pigpio\+pico' \(process \d+"):
            PiBench(bench.file, load_device("nominal"))
        bench.set_threshold(0.7)
        assert len(list(bench.play([probe_frame("test", SlotTiming(), [3, 4])]))) == 1
