"""A seeded sample of commands that are ended in the middle; `make soak` has two hundred."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hil.kills import Killing

ENDS = [("run", "TERM"), ("resume", "KILL"), ("evaluate", "HUP"), ("calibrate", "INT twice"), ("export", "TERM")]


@pytest.mark.slow
@pytest.mark.wire
@pytest.mark.timeout(600)
def test_whatever_ends_a_command_nothing_is_lost(tmp_path: Path) -> None:
    with Killing(tmp_path, ("pico",)) as killing:
        for seed, (command, how) in enumerate(ENDS):
            killing.once(command, how, "pico", seed)
