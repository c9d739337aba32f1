"""Spoilt inputs end in a value or a named error: a seeded sample of what `make soak` tries a million times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.inputs import Inputs, tried

MANY = {"config": 150, "record": 200, "weights": 100, "reply": 4000, "run file": 120, "command": 40}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("kind", MANY)
@pytest.mark.filterwarnings("ignore::drivers.errors.HilWarning")
def test_nothing_but_values_and_named_errors(inputs: Inputs, kind: str, tmp_path: Path) -> None:
    ends = [tried(inputs.kinds[kind], seed) for seed in range(MANY[kind])]
    assert len(set(ends)) > 1  # some are taken, some are refused
