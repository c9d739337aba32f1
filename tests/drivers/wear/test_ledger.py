from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import InputError
from drivers.wear.ledger import LONGEST, Ledger, Wear, from_line, read_ledger, to_line

COUNTS = st.integers(0, 10**18)


@given(st.builds(Wear, COUNTS, COUNTS, st.floats(0, 1e9)))
def test_a_line_comes_back(wear: Wear) -> None:
    assert from_line(to_line(wear)) == wear


@given(st.builds(Wear, COUNTS, COUNTS, st.floats(0, 1e9)), st.integers(1, 200))
def test_a_torn_line_is_told(wear: Wear, cut: int) -> None:
    line = to_line(wear)
    assert from_line(line[: max(0, len(line) - cut)]) is None


def test_what_leaves_is_on_the_disk_before(tmp_path: Path) -> None:
    path = tmp_path / "d.wear"
    with Ledger(path, Wear(100, 10)) as ledger:
        ledger.promise(50, 5)
        ledger.promise(7, 1)  # queued behind it
        ledger.started()
        seen = read_ledger(path)
        assert seen is not None
        assert seen.pulses >= 150
        assert seen.resets >= 15
        ledger.played(0.5)
    assert read_ledger(path) == Wear(150, 15, 0.5)  # the one that never started was taken back


def test_a_torn_end_is_no_loss_and_what_follows_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "d.wear"
    path.write_text(to_line(Wear(1, 1)) + to_line(Wear(2, 2)) + to_line(Wear(9, 9))[:5])
    with Ledger(path, Wear()) as ledger:
        assert ledger.wear == Wear(2, 2)
        ledger.promise(1, 0)
        ledger.started()
    assert read_ledger(path) == Wear(3, 2)


def test_a_ledger_without_a_whole_line_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "d.wear"
    path.write_bytes(b"\0" * 40)
    with pytest.raises(InputError, match=r"d\.wear: no line of it is whole; restore it from a backup"):
        Ledger(path, Wear())


def test_a_long_ledger_begins_anew_with_its_totals(tmp_path: Path) -> None:
    path = tmp_path / "d.wear"
    path.write_text("".join(to_line(Wear(i, i)) for i in range(LONGEST // 16)))
    with Ledger(path, Wear()) as ledger:
        assert ledger.wear.pulses == LONGEST // 16 - 1
    assert path.stat().st_size < 200


def test_a_disk_that_takes_no_more_stops_before_the_shot(tmp_path: Path) -> None:
    code = f"""
import resource
from pathlib import Path
from drivers.wear.ledger import Ledger, Wear
ledger = Ledger(Path({str(tmp_path / "d.wear")!r}), Wear())
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
shots = 0
try:
    while True:
        ledger.promise(10, 1)
        ledger.started()
        shots += 1
except Exception as error:
    print(shots, type(error).__name__, error, flush=True)
    import os
    os._exit(0)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    left = read_ledger(tmp_path / "d.wear")
    assert said[1] == "InputError"
    assert left is not None
    assert left.pulses == 10 * int(said[0])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_program_overstates_by_its_queue_at_most(tmp_path: Path) -> None:
    path = tmp_path / "d.wear"
    code = f"""
from pathlib import Path
from drivers.wear.ledger import Ledger, Wear
ledger = Ledger(Path({str(path)!r}), Wear())
ledger.promise(10, 1)
while True:
    ledger.promise(10, 1)
    ledger.started()
    print("left", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        left = len(lines) + len(process.stdout.readlines())
    found = read_ledger(path)
    assert found is not None
    assert 10 * left <= found.pulses <= 10 * (left + 3)  # told but not read, queued, and on its way
