"""A Pico whose host falls silent or dies in a payload, proven from the host as on a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.benchfile import load_bench
from drivers.errors import InputError
from drivers.mock.pico import PicoServer
from drivers.pico import proof
from tests.drivers.pico.test_device import at_rest, bench_file, new_board

pytestmark = pytest.mark.wire
SILENCE_S = 1.0


@pytest.fixture
def server() -> Iterator[PicoServer]:
    with PicoServer(new_board()) as server:
        yield server


def test_a_silent_host_is_seen_to_park(server: PicoServer) -> None:
    found = proof.falls_silent(bench_file(server.port, heartbeat_timeout_s=SILENCE_S), 0.7)
    assert found == proof.Found("silence", parked=True)
    assert at_rest(server.chip.board)


def test_a_pico_that_does_not_notice_is_seen_too(server: PicoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "MARGIN_S", -9.9)  # asked long before it should
    found = proof.falls_silent(bench_file(server.port, heartbeat_timeout_s=10.0), 0.7)
    assert found == proof.Found("none", parked=False)


def test_a_host_that_dies_in_a_payload_is_seen_to_park(server: PicoServer) -> None:
    found = proof.dies_in_payload(bench_file(server.port, heartbeat_timeout_s=SILENCE_S), 0.7)
    assert found.latch in ("silence", "watchdog")
    assert found.parked
    assert at_rest(server.chip.board)


def test_a_bench_without_a_pico_is_said() -> None:
    with pytest.raises(InputError, match="no \\[pico\\] table"):
        proof.falls_silent(load_bench("mock"), 0.7)
