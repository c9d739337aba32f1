"""Every test that the table of reliability names is there."""

from __future__ import annotations

import re

import pytest

from tests.docs.documents import ROOT

PAGE = (ROOT / "docs/explanation/reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_is_named_is_there(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), flags=re.M)


def test_every_kind_names_one() -> None:
    kinds = [line for line in PAGE.splitlines() if line.startswith("| ") and "::" in line]
    assert len(kinds) > 25
    assert len(NAMED) >= len(kinds)
