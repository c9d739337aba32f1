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
    for verb, (fewest, _) in protocol.VERBS.items():
        line = " ".join(["0", verb] + ["1"] * fewest).encode()
        if verb == "data":
            with pytest.raises(ProtocolError, match="data needs a checksum"):
                protocol.parse_request(line)
        else:
            assert protocol.parse_request(line)[:2] == (0, verb)


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


ARGUMENTS = {  # fewest and most, as the table of PROTOCOL.md has them
    **dict.fromkeys(("id", "limits", "status", "beat", "park", "abort", "safe", "clear", "test"), (0, 0)),
    **{"setup": (0, 32), "vth": (0, 1), "store": (0, 1), "timing": (7, 7), "load": (4, 5), "data": (5, 5)},
    **{"play": (1, 1), "listen": (1, 2), "counts": (2, 2), "stamps": (3, 3)},
}


def test_requests_take_the_arguments_of_the_document() -> None:
    assert set(ARGUMENTS) == set(protocol.VERBS)
    for verb, (fewest, most) in ARGUMENTS.items():
        for count in range(most + 2):
            line = protocol.request(3, verb, ["x"] * count)[:-1]
            if fewest <= count <= most:
                assert protocol.parse_request(line) == (3, verb, ["x"] * count)
                continue
            with pytest.raises(ProtocolError, match=f"{verb} takes {fewest} to {most} arguments, not {count}") as error:
                protocol.parse_request(line)
            assert (error.value.code, error.value.number) == ("args", 3)


def test_sizes_are_those_of_the_document() -> None:
    assert (protocol.VERSION, protocol.MAX_LINE, protocol.MAX_NUMBER) == (1, 2400, 65535)
    assert (protocol.CHUNK, protocol.MAX_COUNT, protocol.MOST) == (1536, 65535, 2**30 - 1)


@pytest.mark.parametrize(
    ("line", "number", "text"),
    [
        (b"1 id", 0, "the line has no checksum"),
        (b"1 id *1", 0, "the checksum is wrong"),
        (b" *00000000", 0, "a request begins with a number, 0 to 65535"),  # the checksum of nothing
        (protocol.seal("65536 id")[:-1], 0, "a request begins with a number, 0 to 65535"),
        (protocol.seal("000001 id")[:-1], 0, "a request begins with a number, 0 to 65535"),
        (protocol.seal("7")[:-1], 7, "a request is a number, a verb and arguments"),
        (protocol.seal("7 fire")[:-1], 7, "known: abort beat clear counts data id"),
        (b"0 data 1 0 4 0000 AAAA", 0, "data needs a checksum"),
        ("0 \u00e9".encode(), 0, "the line is not ASCII"),
        (b"0 \xff", 0, "the line is not ASCII"),
        (b"00 id", 0, "the line has no checksum"),
    ],
)
def test_errors_carry_the_number_where_it_is_known(line: bytes, number: int, text: str) -> None:
    with pytest.raises(ProtocolError, match=text) as error:
        protocol.parse_request(line)
    assert error.value.number == number
    assert str(error.value) == error.value.text


def test_the_largest_number_and_lines_typed_with_a_checksum_are_taken() -> None:
    assert protocol.parse_request(protocol.seal("65535 id")[:-1]) == (65_535, "id", [])
    assert protocol.parse_request(protocol.seal("00001  id ")[:-1]) == (1, "id", [])
    assert protocol.parse_request(protocol.seal("0 id")[:-1]) == (0, "id", [])
    data = protocol.data_args(0, 1, 0, b"abc")
    assert protocol.parse_request(protocol.request(0, "data", data)[:-1]) == (0, "data", data)


@pytest.mark.parametrize("spoilt", [b"0 id *00000000", b"0 id *"])
def test_a_typed_line_with_a_checksum_must_have_the_right_one(spoilt: bytes) -> None:
    with pytest.raises(ProtocolError, match="the checksum is wrong"):
        protocol.parse_request(spoilt)


def test_limits_of_numbers_are_themselves_allowed() -> None:
    assert [protocol.integer("n", text, 1, 10) for text in ("1", "10", "000000000007")] == [1, 10, 7]
    assert protocol.integer("n", "9" * 12, 0, 10**12) == 10**12 - 1
    for text, message in (
        ("0", "n=0: 1 to 10"),
        ("11", "n=11: 1 to 10"),
        ("x", "n is a whole number, 1 to 10"),
        ("0000000000007", "n is a whole number"),
    ):
        with pytest.raises(ProtocolError, match=message) as error:
            protocol.integer("n", text, 1, 10)
        assert error.value.number == 0


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("OK", 0),
        ("WELL 1", 0),
        ("OK x", 0),
        ("ERR 4", 4),
        ("ERR 4 nonsense why", 4),
        ("OK 4 field", 4),
        ("OK 4 a=1 b", 4),
    ],
)
def test_what_is_no_reply_is_refused_with_its_number(text: str, number: int) -> None:
    with pytest.raises(ProtocolError) as error:
        protocol.parse_reply(protocol.seal(text)[:-1])
    assert (error.value.code, error.value.number) == ("syntax", number)


def test_replies_by_hand() -> None:
    assert protocol.parse_reply(protocol.seal("OK 4")[:-1]) == (4, {}, "", "")
    assert protocol.parse_reply(protocol.seal("OK 4 a= b=c=d")[:-1]) == (4, {"a": "", "b": "c=d"}, "", "")
    assert protocol.parse_reply(protocol.seal("ERR 4 range")[:-1]) == (4, {}, "range", "")
    assert protocol.parse_reply(protocol.seal("ERR 4 range n=3 is much")[:-1]) == (4, {}, "range", "n=3 is much")
    assert protocol.reply(5, [("a", 1)], b"AAAA") == protocol.seal("OK 5 a=1 data=AAAA")
    assert protocol.reply(5, []) == protocol.seal("OK 5")
    assert protocol.error(5, "full", "a~ b\x7f\x1fc\u00e9") == protocol.seal("ERR 5 full a~ b??c?")
    assert protocol.error(5, "full", "x" * 300) == protocol.seal("ERR 5 full " + "x" * 200)


def test_a_promise_by_hand() -> None:
    head = b"9 data 3 0 80"
    check = b"%04x" % (binascii.crc32(head) & 0xFFFF)
    assert protocol.head_check(head) == check
    assert protocol.promised(head + b" " + check + b" ") == 80
    assert protocol.promised(head + b" " + check + b" AAAA") == 80
    for other in (head + b" " + check, head + b" " + check + b"  ", b"9 date" + head[6:] + b" " + check + b" "):
        assert protocol.promised(other) == 0
    for wrong in (b"0000", b"ffff", check[::-1], check.upper() + b"0"):
        assert protocol.promised(head + b" " + wrong + b" ") == 0
    for length in (b"10000", b"x", b""):
        head = b"9 data 3 0 " + length
        assert protocol.promised(head + b" " + protocol.head_check(head) + b" ") == 0
    head = b"9 data 3 0 9999"
    assert protocol.promised(head + b" " + protocol.head_check(head) + b" ") == 9999


def test_packing_by_hand() -> None:
    packed = bytearray()
    for value in (0, 127, 128, 300, 16_384):
        protocol.put_varint(packed, value)
    assert packed.hex(" ") == "00 7f 80 01 ac 02 80 80 01"
    assert protocol.pack_runs([5, 0], [1, 200]).hex(" ") == "05 01 00 c8 01"
    assert protocol.from_base64(protocol.to_base64(b"\x00abc").decode()) == b"\x00abc"
    assert not protocol.to_base64(b"x" * 100).endswith(b"\n")
    with pytest.raises(ProtocolError, match="not base64") as error:
        protocol.from_base64("A")
    assert error.value.code == "syntax"
    assert protocol.compiled(("banks.py", "main.py")) == ["banks.mpy", "main.py"]
    assert protocol.data_args(9, 3, 1, b"abc") == ["3", "1", "4", protocol.head_check(b"9 data 3 1 4").decode(), "YWJj"]
