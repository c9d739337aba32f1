from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import InputError
from hil.network.layers import LAYERS
from hil.network.physical import Physical, parse_physical

parts = st.sampled_from(LAYERS).flatmap(
    lambda layer: st.tuples(st.integers(0, layer.units - 1), st.integers(0, layer.units - 1)).map(
        lambda ends: Physical(layer, min(ends), max(ends) + 1)
    )
)


@given(st.lists(parts, min_size=1, max_size=4, unique_by=lambda p: p.layer.index))
def test_what_is_printed_is_read_back(chosen: list[Physical]) -> None:
    text = ",".join(map(str, chosen))
    assert parse_physical(text) == tuple(sorted(chosen, key=lambda p: p.layer.index))


def test_words() -> None:
    assert parse_physical("none") == ()
    assert [str(p) for p in parse_physical("all")] == ["conv1", "conv2", "fc1", "fc2"]
    assert [str(p) for p in parse_physical("fc1, conv1:0-7")] == ["conv1:0-7", "fc1"]
    assert parse_physical("conv1:3")[0].slots == 784


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv3", r"unknown layer 'conv3'; known: conv1, conv2, fc1, fc2"),
        ("conv1:0-32", r"'conv1:0-32': conv1 has units 0-31"),
        ("conv1:7-3", "conv1 has units 0-31"),
        ("conv1,conv1:0", "names a layer twice"),
        ("", "unknown layer ''"),
        ("fc1:a", "unknown layer 'fc1:a'"),
    ],
)
def test_what_cannot_be_played_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_physical(text)
