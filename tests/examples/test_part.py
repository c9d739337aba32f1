"""The part of docs/how-to/add-a-part.md, registered as its text says, on a bench whose V_th it makes."""

from __future__ import annotations

import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.bench import ThresholdSource
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import BenchError, ConnectionLostError, InputError
from drivers.mock.board import Board
from drivers.mock.pico import WIRING, PicoServer
from drivers.opening import open_bench
from drivers.parts import table
from drivers.parts.assembly import check_parts
from drivers.parts.kind import Opening
from drivers.signals import SlotTiming, probe_frame

PARTS = Path(__file__).parents[2] / "examples" / "parts"
GUIDE = PARTS.parents[1] / "docs" / "how-to" / "add-a-part.md"
BENCH = """name = "mine"
kind = "pi"
device = "ideal"
pulse_source = "pico"
axon_reader = "pico"
[threshold]
source = "supply"
[parts.supply]
resource = "{resource}"
[wiring]
dendrite = {wiring.dendrite}
reset = {wiring.reset}
sync = {wiring.sync}
select = {select}
[board]
addresses = 4
[pico]
port = "{port}"
"""


class Talk(socketserver.StreamRequestHandler):
    """The supply: sets the board's V_th, and measures 0.3 mV more than it was told; `sag_v` is what it falls short."""

    sag_v = 0.0
    board: Board
    heard: list[str]

    def handle(self) -> None:
        for line in self.rfile:
            command = line.decode().strip()
            self.heard.append(command)
            if command == "*IDN?":
                self.wfile.write(b"ACME,PSU-1,42,1.0\n")
            elif command == "MEAS:VOLT?":
                self.wfile.write(f"{self.board.threshold_v:.5f}\n".encode())
            elif command.startswith("VOLT "):
                self.board.set_threshold(float(command.removeprefix("VOLT ")) + 0.0003 - self.sag_v)


@contextmanager
def supply(board: Board) -> Iterator[tuple[str, type[Talk]]]:
    talk: type[Talk] = type("TalkToBoard", (Talk,), {"board": board, "heard": []})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), talk) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"TCPIP::127.0.0.1::{server.server_address[1]}::SOCKET", talk
        server.shutdown()
        thread.join()


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pip leaves a package that has the guide's entry point."""
    info = tmp_path / "site" / "mysupply-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mysupply\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[memristive_hil.parts]\nthreshold.supply = supply:PART\n")
    monkeypatch.syspath_prepend(str(info.parent))
    monkeypatch.syspath_prepend(str(PARTS))
    monkeypatch.delitem(sys.modules, "supply", raising=False)


def bench_file(folder: Path, resource: str, port: str = "/dev/null") -> Path:
    file = folder / "bench.toml"
    select = list(WIRING.select)
    file.write_text(BENCH.format(resource=resource, wiring=WIRING, select=select, port=port))
    return file


@pytest.mark.wire
@pytest.mark.usefixtures("registered")
def test_a_bench_plays_with_the_part_and_hears_what_it_made(tmp_path: Path) -> None:
    board = Board(load_device("ideal"), load_bench("mock").board)
    with PicoServer(board) as pico, supply(board) as (resource, talk):
        file = bench_file(tmp_path, resource, pico.port)
        loaded, kind = load_bench(str(file)), table.find("threshold", "supply")
        settings = kind.settings_in(loaded, "threshold", "supply")
        assert all(check.ok for check in check_parts(loaded) if check.name == "supply")
        board.set_threshold(1.1)
        assert [check.detail for check in kind.check(Opening(loaded), settings)] == ["ACME,PSU-1,42,1.0, at 1.1 V"]
        assert not any(command.startswith("VOLT") for command in talk.heard)  # looking sets nothing
        with open_bench(str(file)) as bench:
            assert board.threshold_v == pytest.approx(2.0003)
            assert bench.identity["threshold"] == "ACME,PSU-1,42,1.0"
            assert bench.set_threshold(0.7) == bench.threshold_v == pytest.approx(0.7003)
            (capture,) = bench.play([probe_frame("example", SlotTiming(), [1, 2, 4, 8])])
            assert capture.spikes.tolist() == [1, 2, 4, 8]
            talk.sag_v = 0.1
            with pytest.raises(BenchError, match=r"makes 0.6003 V instead of 0.7 V: check its current limit"):
                bench.set_threshold(0.7)
            talk.sag_v = 0.0
        assert board.threshold_v == pytest.approx(2.0003)


@pytest.mark.usefixtures("registered")
def test_its_settings_are_checked_by_its_own_model(tmp_path: Path) -> None:
    assert table.names("threshold")[-1] == "supply"
    file = bench_file(tmp_path, "x")
    file.write_text(file.read_text().replace("resource =", "volts ="))
    with pytest.raises(InputError, match=r"\[parts.supply\]: resource: Field required; volts: Extra inputs"):
        load_bench(str(file))


@pytest.mark.usefixtures("registered")
def test_a_supply_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = load_bench(str(bench_file(tmp_path, "TCPIP::127.0.0.1::1::SOCKET")))
    kind: Any = table.find("threshold", "supply")
    with pytest.raises(ConnectionLostError, match=r"no answer from the supply at TCPIP.*refused"):
        kind.open(Opening(file), kind.settings_in(file, "threshold", "supply"))
    advice = next(check.advice for check in check_parts(file) if check.name == "supply")
    assert advice == "is it on, and parts.supply.resource right?"


@pytest.mark.usefixtures("registered")
def test_it_is_a_threshold_source_of_fewer_than_80_lines() -> None:
    found = __import__("supply").Supply
    wanted = {name for name in dir(ThresholdSource) if not name.startswith("_")}
    assert {name for name in wanted if not hasattr(found, name)} == {"identity"}  # which its instances have
    assert len((PARTS / "supply.py").read_text(encoding="utf-8").splitlines()) < 80


def test_a_part_whose_package_is_broken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "site" / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[memristive_hil.parts]\nthreshold.gone = nowhere_at_all:PART\n")
    monkeypatch.syspath_prepend(str(info.parent))
    with pytest.raises(InputError, match=r"source = 'gone' cannot be loaded from nowhere_at_all:PART: No module"):
        table.find("threshold", "gone")


def test_the_guide_shows_the_entry_point_and_the_tables_that_the_tests_use() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert '"threshold.supply" = "supply:PART"' in text
    assert "[parts.supply]" in text
    assert 'source = "supply"' in text
