"""One option for the whole suite: `pytest --bench bench.toml` adds real hardware to the benches under test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

# One profile for all: timing is never asserted, and a failure on one machine is a failure on all.
settings.register_profile("hil", deadline=None, derandomize=True)
settings.load_profile("hil")


@pytest.fixture(autouse=True, scope="session")
def _passports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test may write into the passports of whoever runs it, or wait for a bench that they hold."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIL_PASSPORTS", str(tmp_path_factory.mktemp("passports")))
        patch.setenv("HIL_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bench", metavar="FILE", help="bench file of real hardware to run the bench suite on too")


def pytest_report_header(config: pytest.Config) -> str:
    return f"benches: mock, the wire-level twin, {config.getoption('--bench') or 'no hardware (--bench FILE adds it)'}"
