"""The wire protocol: what PROTOCOL.md says, as pure functions that run alike in MicroPython and CPython.

A request is one ASCII line, answered by one ASCII line; both end in ` *` and the CRC-32 of all that stands before it:

    17 vth 700000 *3c9c531d
    OK 17 uv=700000 code=1400 *b23152be
    18 play 3 *e3d8a0eb
    ERR 18 latched cleared only by the host: silence *dbe14fcb

Numbers are integers in SI units with the unit in the field's name, so that nothing is rounded twice.
"""

import binascii

VERSION = 1
FIRMWARE = "1.6.0"

MAX_LINE = 2400  # bytes, without the line's end
MAX_NUMBER = 65535  # requests are numbered 1 to this, then from 1 again; 0 is for lines typed by hand
CHUNK = 1536  # bytes of packed runs in one line, 2,048 base64 characters
MAX_COUNT = 65535  # dendrite pulses in a slot
MOST = (1 << 30) - 1  # of slots, pulses and addresses
FILES = (  # what `hil flash` copies and `digest` is made of
    "banks.py",
    "buffers.py",
    "commands.py",
    "counter.py",
    "dac.py",
    "identity.py",
    "listener.py",
    "loop.py",
    "main.py",
    "player.py",
    "port.py",
    "protocol.py",
    "quick.py",
    "registers.py",
    "sequencer.py",
    "settings.py",
    "station.py",
)

# What went wrong: the code of an ERR reply, and what it means.
CODES = {
    "checksum": "the line was garbled on its way",
    "syntax": "the line is not a request",
    "verb": "no such request",
    "args": "the wrong number of arguments, or not numbers",
    "range": "a value is outside its limits",
    "state": "not now",
    "full": "no bank is free",
    "latched": "the board is safe until the host clears the latch",
    "capture": "what was counted cannot be what was played",
    "dac": "the threshold DAC does not answer or answers wrongly",
    "internal": "the firmware met something it did not expect; the board is safe",
}

# verb: fewest and most arguments
VERBS = {
    "id": (0, 0),
    "limits": (0, 0),
    "status": (0, 0),
    "beat": (0, 0),
    "setup": (0, 32),
    "vth": (0, 1),
    "park": (0, 0),
    "store": (0, 1),
    "timing": (7, 7),
    "load": (4, 5),
    "data": (5, 5),
    "play": (1, 1),
    "listen": (1, 2),
    "counts": (2, 2),
    "stamps": (3, 3),
    "abort": (0, 0),
    "safe": (0, 0),
    "clear": (0, 0),
    "test": (0, 0),
}


class ProtocolError(Exception):
    """A line that cannot be taken: its number (0 where that is not known), a code of CODES, and text."""

    def __init__(self, code: str, text: str, number: int = 0):
        super().__init__(text)
        self.code = code
        self.text = text
        self.number = number


def seal(text: str) -> bytes:
    """The line to send: text, checksum, line end."""
    data = text.encode()
    return data + b" *%08x\n" % (binascii.crc32(data) & 0xFFFFFFFF)


def unseal(line: bytes) -> str:
    """The text of a received line (its end already taken off); raises ProtocolError checksum or syntax."""
    star = line.rfind(b" *")
    if star < 0:
        raise ProtocolError("checksum", "the line has no checksum")
    data = memoryview(line)[:star]
    if line[star + 2 :] != b"%08x" % (binascii.crc32(data) & 0xFFFFFFFF):
        raise ProtocolError("checksum", "the checksum is wrong")
    return _ascii(data)


def _ascii(data: "bytes | memoryview") -> str:
    """The text of ASCII bytes, without a loop over 2,000 of them. Control characters are left in: no word that means
    anything has one.
    """
    try:
        text = str(data, "ascii")  # MicroPython takes UTF-8 all the same
    except ValueError:
        text = ""
    if len(text) != len(data):
        raise ProtocolError("syntax", "the line is not ASCII")
    return text


def _words(text: str) -> list[str]:
    """What spaces part; other white space does not."""
    return [word for word in text.split(" ") if word]


def request(number: int, verb: str, args: list[str]) -> bytes:
    """The line of one request."""
    return seal(" ".join([str(number), verb] + args))


def parse_request(line: bytes) -> tuple[int, str, list[str]]:
    """Number, verb and arguments of a request line; raises ProtocolError with the number, if that could be read.

    Lines numbered 0 are typed by hand and may leave out the checksum, except data.
    """
    typed = line[:2] == b"0 " and b" *" not in line
    text = _ascii(line) if typed else unseal(line)
    words = _words(text)
    if not words or not _digits(words[0]) or len(words[0]) > 5 or int(words[0]) > MAX_NUMBER:
        raise ProtocolError("syntax", "a request begins with a number, 0 to %d" % MAX_NUMBER)
    number = int(words[0])
    if len(words) < 2:
        raise ProtocolError("syntax", "a request is a number, a verb and arguments", number)
    verb, args = words[1], words[2:]
    if verb not in VERBS:
        raise ProtocolError("verb", "known: " + " ".join(sorted(VERBS)), number)
    fewest, most = VERBS[verb]
    if not fewest <= len(args) <= most:
        raise ProtocolError("args", "%s takes %d to %d arguments, not %d" % (verb, fewest, most, len(args)), number)
    if verb == "data" and typed:
        raise ProtocolError("checksum", "data needs a checksum", number)
    return number, verb, args


def integer(name: str, text: str, low: int, high: int) -> int:
    """A whole number within low…high; raises ProtocolError args or range that names it."""
    if not _digits(text) or len(text) > 12:
        raise ProtocolError("args", "%s is a whole number, %d to %d" % (name, low, high))
    value = int(text)
    if not low <= value <= high:
        raise ProtocolError("range", "%s=%d: %d to %d" % (name, value, low, high))
    return value


def _digits(text: str) -> bool:
    """Of text that is ASCII: beyond it MicroPython's isdigit and CPython's differ."""
    return text.isdigit()


def head_check(head: bytes) -> bytes:
    """Four hexadecimal digits over `number data shot piece characters`: the promise that so many characters follow."""
    return b"%04x" % (binascii.crc32(head) & 0xFFFF)


def data_args(number: int, shot: int, piece: int, runs: bytes) -> list[str]:
    """The arguments of a data request."""
    payload = to_base64(runs).decode()
    where = [str(shot), str(piece), str(len(payload))]
    head = " ".join([str(number), "data"] + where)
    return where + [head_check(head.encode()).decode(), payload]


def promised(line: bytes) -> int:
    """How many characters follow this beginning of a line, if it is `number data shot piece characters check `."""
    words = line.split(b" ")
    if len(words) != 7 or words[1] != b"data" or len(words[4]) > 4 or not words[4].isdigit():
        return 0
    return int(words[4]) if words[5] == head_check(b" ".join(words[:5])) else 0


def reply(number: int, fields: list[tuple[str, object]], data: bytes = b"") -> bytes:
    """The line of an OK reply; values hold no spaces. `data` is the last field where there is any: as bytes, since it
    is long, and memory on the Pico is short.
    """
    head = " ".join(["OK", str(number)] + ["%s=%s" % (k, v) for k, v in fields])
    if not data:
        return seal(head)
    start = (head + " data=").encode()
    check = binascii.crc32(data, binascii.crc32(start)) & 0xFFFFFFFF
    return b"".join((start, data, b" *%08x\n" % check))


def error(number: int, code: str, text: str) -> bytes:
    """The line of an ERR reply; anything that is not printable ASCII becomes a question mark."""
    plain = "".join([c if " " <= c <= "~" else "?" for c in text[:200]])
    return seal("ERR %d %s %s" % (number, code, plain))


def parse_reply(line: bytes) -> tuple[int, dict[str, str], str, str]:
    """Number, fields, error code ("" for OK) and error text of a reply line; raises ProtocolError."""
    words = _words(unseal(line))
    if len(words) < 2 or words[0] not in ("OK", "ERR") or not _digits(words[1]):
        raise ProtocolError("syntax", "not a reply")
    number = int(words[1])
    if words[0] == "ERR":
        if len(words) < 3 or words[2] not in CODES:
            raise ProtocolError("syntax", "an error without a known code", number)
        return number, {}, words[2], " ".join(words[3:])
    fields = {}
    for word in words[2:]:
        name, equals, value = word.partition("=")
        if not equals:
            raise ProtocolError("syntax", "a field without a value", number)
        fields[name] = value
    return number, fields, "", ""


def put_varint(out: bytearray, value: int) -> None:
    """Append a whole number ≥ 0, seven bits a byte, lowest first, top bit set on all but the last (LEB128)."""
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def compiled(names: "tuple[str, ...]") -> list[str]:
    """What modules are called when they are compiled; main.py stays source."""
    return [name if name == "main.py" else name[:-3] + ".mpy" for name in names]


def pack_runs(counts: list[int], repeats: list[int]) -> bytes:
    """Runs of equal counts: count, repeat, count, repeat … as varints."""
    out = bytearray()
    for i in range(len(counts)):
        put_varint(out, counts[i])
        put_varint(out, repeats[i])
    return bytes(out)


def to_base64(data: "bytes | memoryview") -> bytes:
    """One line of base64 without its end."""
    return binascii.b2a_base64(data, newline=False)


def from_base64(text: str) -> bytes:
    """The bytes; raises ProtocolError."""
    try:
        return binascii.a2b_base64(text)
    except ValueError:
        raise ProtocolError("syntax", "not base64")
