"""Lines in and out: what is sent arrives, what is damaged is noticed, and nothing stops the parser."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.pico.packing import pack_pieces, unpack_counts, unpack_varints
from firmware import protocol
from firmware.protocol import ProtocolError

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True)
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@SETTINGS
@given(number=st.integers(0, protocol.MAX_NUMBER), verb=st.sampled_from(sorted(protocol.VERBS)), data=st.data())
def test_a_request_arrives_as_it_was_sent(number: int, verb: str, data: st.DataObject) -> None:
    fewest, most = protocol.VERBS[verb]
    args = data.draw(st.lists(WORDS, min_size=fewest, max_size=min(most, fewest + 3)))
    line = protocol.request(number, verb, args)
    assert line[-1:] == b"\n"
    assert protocol.parse_request(line[:-1]) == (number, verb, args)


@SETTINGS
@given(at=st.integers(0, 40), byte=st.integers(0, 255))
def test_one_wrong_byte_is_always_noticed(at: int, byte: int) -> None:
    line = bytearray(protocol.request(17, "timing", ["fixed", "50", "75", "125", "50", "200", "80000"])[:-1])
    at %= len(line)
    if line[at] == byte:
        return
    line[at] = byte
    with pytest.raises(ProtocolError):
        protocol.parse_request(bytes(line))


def outcome(parse: Callable[[bytes], object], line: bytes) -> str:
    try:
        parse(line)
    except ProtocolError as error:
        return error.code
    return ""


@SETTINGS
@given(st.binary(max_size=120))
def test_no_line_does_more_than_raise_a_protocol_error(line: bytes) -> None:
    for raw in (line, protocol.seal("1 " + line.decode("latin-1"))[:-1], b"0 " + line):
        assert outcome(protocol.parse_request, raw) in ("", *protocol.CODES)
        assert outcome(protocol.parse_reply, raw) in ("", *protocol.CODES)
        assert 0 <= protocol.promised(raw) <= 9999


@SETTINGS
@given(st.integers(0, 65_535), st.sampled_from(sorted(protocol.CODES)), st.text(max_size=300))
def test_an_error_is_a_well_formed_reply_whatever_its_text(number: int, code: str, text: str) -> None:
    got = protocol.parse_reply(protocol.error(number, code, text)[:-1])
    assert got[:3] == (number, {}, code)
    assert len(protocol.error(number, code, text)) < 260


def test_fields_of_a_reply_arrive() -> None:
    line = protocol.reply(7, [("uv", 700_000), ("data", "AB=="), ("latch", "none")])
    assert protocol.parse_reply(line[:-1]) == (7, {"uv": "700000", "data": "AB==", "latch": "none"}, "", "")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"1 id", "checksum"),
        (b"1 id *00000000", "checksum"),
        (protocol.seal("id")[:-1], "syntax"),
        (protocol.seal("70000 id")[:-1], "syntax"),
        (protocol.seal("\u0661 id")[:-1], "syntax"),
        (protocol.seal("1")[:-1], "syntax"),
        (protocol.seal("1 fire")[:-1], "verb"),
        (protocol.seal("1 play")[:-1], "args"),
        (b"0 data 1 0 4 0000 AAAA", "checksum"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(line: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as error:
        protocol.parse_request(line)
    assert error.value.code == code


def test_lines_typed_by_hand_need_no_checksum() -> None:
    assert protocol.parse_request(b"0 vth 700000") == (0, "vth", ["700000"])


@pytest.mark.parametrize(
    ("text", "code"), [("", "args"), ("-1", "args"), ("1e3", "args"), ("11", "range"), ("9" * 13, "args")]
)
def test_numbers_are_whole_and_within_their_limits(text: str, code: str) -> None:
    with pytest.raises(ProtocolError, match="n") as error:
        protocol.integer("n", text, 1, 10)
    assert error.value.code == code


@SETTINGS
@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_numbers_survive_packing(values: list[int]) -> None:
    out = bytearray()
    for value in values:
        protocol.put_varint(out, value)
    assert unpack_varints(protocol.to_base64(bytes(out)).decode()).tolist() == values


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(1, 30)), min_size=1, max_size=60))
def test_counts_survive_packing_in_pieces(runs: list[tuple[int, int]]) -> None:
    counts = np.repeat([n for n, _ in runs], [r for _, r in runs]).astype(np.int32)
    pieces = pack_pieces(counts)
    assert all(len(piece) <= protocol.CHUNK for piece in pieces)
    assert (
        np.concatenate([unpack_counts(protocol.to_base64(piece).decode()) for piece in pieces]).tolist()
        == counts.tolist()
    )


def test_a_line_of_the_largest_piece_fits() -> None:
    line = protocol.request(65_535, "data", protocol.data_args(65_535, 65_535, 65_535, b"\xff" * protocol.CHUNK))
    assert len(line) - 1 <= protocol.MAX_LINE


def test_a_payload_is_announced_only_by_a_head_that_proves_itself() -> None:
    line = protocol.request(9, "data", protocol.data_args(9, 3, 0, b"\x05\x01" * 30))
    head = line[: line.rindex(b" *") - len(protocol.to_base64(b"\x05\x01" * 30))]
    assert protocol.promised(head) == 80
    assert protocol.promised(head.replace(b" 80 ", b" 81 ")) == 0


def test_the_document_names_every_request_and_every_error() -> None:
    text = (Path(protocol.__file__).parent / "PROTOCOL.md").read_text(encoding="utf-8")
    for word in [*protocol.VERBS, *protocol.CODES]:
        assert f"`{word}" in text, word
    example = text.split("```")[1].splitlines()[1]
    data, check = example.rsplit(" *", 1)
    assert binascii.crc32(data.encode()) == int(check, 16)
