# ruff: noqa: F821, RUF046
# mypy: disable-error-code="name-defined"
"""The loops over slots, compiled by MicroPython's viper emitter: some microseconds a slot, not hundreds.

Viper numbers are machine words, but its constants have to be small ints, 31 bits on a Pico: no count here needs more
than 30 bits, and only words that are stored use the top two. What `expand` needs comes in an array whose places have
names. In CPython `viper` does nothing and a pointer is a view of its memory.
"""

import micropython

# Places of the array `registers`: the words of a slot, its addresses; where it is, and what is left of the shot.
FIRST, ONE, GUARD, PERIOD, WIDTH, SETTLE, FIXED, ADDRESSES, ONE_HOT, BINARY = range(10)
ADDRESS, END, SLOTS, PLAYED, PULSES = range(10, 15)
FINE, MORE, TIGHT = range(3)  # results: done; more than was announced; the pulses do not fit the window


@micropython.viper
def unpack(data, out) -> int:
    """Varints to words; returns how many, -1 where the last does not end or one has more than 30 bits."""
    p = ptr8(data)
    o = ptr32(out)
    size = int(len(data))
    at = 0
    count = 0
    while at < size:
        value = 0
        shift = 0
        byte = 128
        while byte > 127:
            if at >= size or shift > 28:
                return -1
            byte = int(p[at])
            if shift == 28 and byte > 3:
                return -1
            at += 1
            value |= (byte & 127) << shift
            shift += 7
        o[count] = value
        count += 1
    return count


@micropython.viper
def expand(runs, count: int, words, registers) -> int:
    """Runs (pulses, repeat), two words each, to slot words; moves the registers from ADDRESS on.

    PERIOD is the window in fixed mode; there a slot's settle has what the pulses leave of it.
    """
    p = ptr32(runs)
    w = ptr32(words)
    r = ptr32(registers)
    period = int(r[3])
    fixed = int(r[6])
    address = int(r[10])
    end = int(r[11])
    slots = int(r[12])
    played = int(r[13])
    left = int(r[14])
    at = 0
    while at < count:
        pulses = int(p[at])
        repeat = int(p[at + 1])
        at += 2
        if repeat == 0 or repeat > slots or pulses > 65535:
            return 1
        slots -= repeat
        if pulses == 0 and fixed == 0:
            address += repeat
            continue
        if repeat > played or pulses > left // repeat:
            return 1
        played -= repeat
        left -= pulses * repeat
        each = period
        if fixed != 0 and pulses != 0:
            each = period // pulses
        low = each - int(r[4]) - 3
        tail = int(r[5]) - 5 + (period - each * pulses) * fixed
        if pulses == 0:
            low = 0
            tail -= 1
        if low < 0:
            return 2
        while repeat > 0:
            if address >= int(r[7]):
                address -= address // int(r[7]) * int(r[7])
            code = (int(r[8]) << address * int(r[8])) + (address + 1) * int(r[9])
            w[end] = code << 16 | int(r[0])
            w[end + 1] = int(r[1])
            w[end + 2] = pulses << 16 | int(r[2])
            w[end + 3] = low
            w[end + 4] = tail
            end += 5
            address += 1
            repeat -= 1
    r[10] = address
    r[11] = end
    r[12] = slots
    r[13] = played
    r[14] = left
    return 0


@micropython.viper
def pack_counts(seen, begin: int, slots: int, out) -> int:
    """Every other word from seen[begin] on, so many, as packed runs; returns how many bytes of `out` they take."""
    s = ptr32(seen)
    o = ptr8(out)
    size = 0
    i = 0
    while i < slots:
        spikes = int(s[begin + 2 * i]) & 0x3FFFFFFF
        j = i + 1
        while j < slots and (int(s[begin + 2 * j]) & 0x3FFFFFFF) == spikes:
            j += 1
        value = spikes
        field = 0
        while field < 2:
            while value > 127:
                o[size] = value & 127 | 128
                size += 1
                value >>= 7
            o[size] = value
            size += 1
            value = j - i
            field += 1
        i = j
    return size


@micropython.viper
def add_up(seen, begin: int, words: int) -> int:
    """The sum of every other word from seen[begin] on, so many."""
    s = ptr32(seen)
    total = 0
    i = 0
    while i < words:
        total += int(s[begin + 2 * i]) & 0x3FFFFFFF
        i += 1
    return total
