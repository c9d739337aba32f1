"""The line to the Pico: how long it is waited for."""

from __future__ import annotations

import pytest

from drivers.errors import InputError
from drivers.pico.link import _reply_s


@pytest.mark.parametrize("named", ["soon", "0", "1e9", "nan"])
def test_a_patience_that_is_no_time_is_named(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_PICO_REPLY_S", named)
    with pytest.raises(InputError, match=f"HIL_PICO_REPLY_S = '{named}': seconds, from 0.1 to 60"):
        _reply_s()
