"""Options for the whole suite: `pytest --bench bench.toml` adds real hardware to the benches under test, `--uf2 FILE`
an emulated Pico with that MicroPython.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from drivers.ds4024.known import SUFFIX

PATIENCE_S = 5.0
HEAP = "207k"  # 190 of a Pico W before the firmware is on it (a Pico has 240), and 17 for the stand-ins that it has not

# One profile for all: timing is never asserted, and a failure on one machine is a failure on all.
# A busy machine draws examples slowly, which says nothing of the tests.
settings.register_profile("hil", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hil")


@pytest.fixture(autouse=True)
def _unknown_oscilloscopes(_passports: None) -> Iterator[None]:
    """What one test has proven of a simulated oscilloscope the next does not know: all have the same serial number."""
    yield
    for kept in Path(os.environ["HIL_PASSPORTS"]).glob(f"*{SUFFIX}"):
        kept.unlink(missing_ok=True)


@pytest.fixture(autouse=True, scope="session")
def _passports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test may write into the passports of whoever runs it, or wait for a bench that they hold."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIL_PASSPORTS", str(tmp_path_factory.mktemp("passports")))
        patch.setenv("HIL_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _patience() -> Iterator[None]:
    """A busy machine keeps the simulated Pico from running for longer than USB ever keeps a host waiting.

    What has to do with the patience of a host sets it itself.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drivers.pico.link.REPLY_S", PATIENCE_S)
        patch.setenv("HIL_PICO_REPLY_S", str(PATIENCE_S))  # of the programs that tests start
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow ones first: a minute that is begun last is a minute in which all other processors wait."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bench", metavar="FILE", help="bench file of real hardware to run the bench suite on too")
    parser.addoption("--uf2", metavar="FILE", help="MicroPython for the Pico, to run the firmware in an emulated one")


@pytest.fixture(autouse=True, scope="session")
def _thirty_two_bits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """MICROPYTHON32 names a MicroPython of 32 bits for this machine: the Pico's twin then runs in that, in as little
    memory as a Pico's. 1.28.0 passes all; the unix port of 1.24.1 drops what is typed ahead of its prompt, so that
    the tests that type several lines at once, and mpremote's, cannot pass on it. A Pico's 1.24.1 is tried with --uf2.
    """
    given = os.environ.get("MICROPYTHON32")
    if not given:
        yield
        return
    wrapper = tmp_path_factory.mktemp("bounded") / "micropython"
    wrapper.write_text(f'#!/bin/sh\nexec "{given}" -X heapsize={HEAP} "$@"\n')
    wrapper.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drivers.mock.pico.server.micropython", lambda: str(wrapper))
        yield


def pytest_report_header(config: pytest.Config) -> str:
    return f"benches: mock, the wire-level twin, {config.getoption('--bench') or 'no hardware (--bench FILE adds it)'}"
