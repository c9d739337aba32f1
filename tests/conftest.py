"""One option for the whole suite: `pytest --bench bench.toml` adds real hardware to the benches under test."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bench", metavar="FILE", help="bench file of real hardware to run the bench suite on too")


def pytest_report_header(config: pytest.Config) -> str:
    return f"benches: mock, the wire-level twin, {config.getoption('--bench') or 'no hardware (--bench FILE adds it)'}"
