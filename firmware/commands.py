"""What each request does: one function a verb, (station, arguments) → fields of the reply."""

import gc

import machine
import protocol
import quick
import sequencer
import settings
from banks import DONE
from buffers import BANK_SLOTS, BANKS, STAMPS
from dac import DacError
from protocol import ProtocolError, integer
from station import NOTHING_OPENED

COUNTS_A_LINE = 400
STAMPS_A_LINE = 300
SELF_TEST_TICKS = 100
ADC_REFERENCE_V = 3.3


def answer(station, identity, line: bytes) -> bytes:
    """The reply to one line, whatever it is."""
    number = 0
    try:
        number, verb, args = protocol.parse_request(line)
        station.heard()
        if verb == "id":
            return protocol.reply(number, identity.fields())
        if verb in ONCE:
            return _once(station, number, verb, args, line)
        if verb in LONG:
            fields, data = LONG[verb](station, args)
            return protocol.reply(number, fields, data)
        return protocol.reply(number, HANDLERS[verb](station, args))
    except ProtocolError as error:
        return protocol.error(number or error.number, error.code, error.text)
    except DacError as error:
        return protocol.error(number, "dac", str(error))
    except Exception as error:  # a fault of ours must not stop the loop with the board in an unknown state
        station.make_safe("internal")
        return protocol.error(number, "internal", "%s: %s" % (type(error).__name__, error))


def _once(station, number: int, verb: str, args, line: bytes) -> bytes:
    """The same line again is the same shot again: the host has not had our reply, or the line was doubled."""
    if not number or station.opened[0] != line:
        station.opened = (line, protocol.reply(number, HANDLERS[verb](station, args)))
    return station.opened[1]


def _limits(station, args):
    return [
        ("tick_hz", sequencer.TICK_HZ),
        ("banks", BANKS),
        ("bank_slots", BANK_SLOTS),
        ("pulses", protocol.MAX_COUNT),
        ("line", protocol.MAX_LINE),
        ("stamps", STAMPS),
        ("break_ticks", sequencer.LEAST_BREAK),
        ("guard_ticks", sequencer.LEAST_GUARD),
        ("reset_ticks", sequencer.LEAST_RESET),
        ("width_ticks", sequencer.LEAST_WIDTH),
        ("low_ticks", sequencer.LEAST_LOW),
        ("settle_ticks", sequencer.LEAST_SETTLE),
        ("lead_ticks", sequencer.MOST_HALF),
        ("vth_min_uv", station.settings["vth_min_uv"]),
        ("vth_max_uv", station.settings["vth_max_uv"]),
    ]


def _latch(station):
    return "latch", station.latch or "none"


def _beat(station, args):
    playing = station.player.playing
    return [
        ("boot", station.boot),
        _latch(station),
        ("playing", playing.shot if playing else 0),
        ("done", station.player.done),
        ("last", station.player.banks.shot),
    ]


def _status(station, args):
    axon = station.settings["axon"]
    return _beat(station, args) + [
        ("parked", int(station.parked)),
        ("estop", int(station.stopped())),
        ("axon", "none" if axon is None else machine.Pin(axon).value()),
        ("clock_hz", machine.freq()),
        ("free_bytes", gc.mem_free() if hasattr(gc, "mem_free") else 0),
        ("chip_millicelsius", chip_millicelsius()),
    ]


def chip_millicelsius() -> int:
    """Temperature of the chip (RP2040 datasheet, 4.9.5: 27 °C at 0.706 V, −1.721 mV a degree, nominally)."""
    volts = machine.ADC(machine.ADC.CORE_TEMP).read_u16() * ADC_REFERENCE_V / 65535
    return int((27 - (volts - 0.706) / 0.001721) * 1000)


def _setup(station, args):
    if station.player.playing is not None:
        raise ProtocolError("state", "a shot is playing: abort first")
    if args:
        station.opened = NOTHING_OPENED  # another host counts its requests from 1 again
        values = settings.parse(args)
        settings.keep(values, station.settings)
        station.wire(values)
        station.player.banks.free(keep_done=False)  # of a host that is no more
    return [(name, "none" if value is None else value) for name, value in station.settings.items()]


def _vth(station, args):
    if args:
        code = station.set_threshold(integer("vth_uv", args[0], 0, 5_000_000))
    elif station.threshold is None:
        raise ProtocolError("state", "no DAC: setup first")
    else:
        code = station.threshold.get()
    return [("uv", station.threshold.microvolts(code)), ("code", code)]


def _park(station, args):
    if not station.park():
        raise ProtocolError("dac", "V_th could not be parked")
    return [("uv", station.threshold.most_uv)]


def _store(station, args):
    """What the DAC's EEPROM makes at power-up; with `write` as argument the parked V_th is written there first."""
    if station.threshold is None:
        raise ProtocolError("state", "no DAC: setup first")
    if args:
        if args != ["write"]:
            raise ProtocolError("args", "store takes nothing, or write")
        if station.player.playing:
            raise ProtocolError("state", "a shot plays")
        station.threshold.store()
    code = station.threshold.stored()
    return [("uv", station.threshold.microvolts(code) if code >= 0 else "none"), ("code", code)]


def _timing(station, args):
    if args[0] not in ("adaptive", "fixed"):
        raise ProtocolError("range", "mode is adaptive or fixed")
    names = ("break", "guard", "reset", "width", "settle", "period")
    ticks = [integer(name, text, 0, 1 << 32) for name, text in zip(names, args[1:])]
    timing = sequencer.Timing(args[0] == "fixed", *ticks)
    wrong = timing.faults()
    if wrong:
        raise ProtocolError("range", wrong)
    station.player.banks.timing = timing
    return [("lead", timing.lead)]


def _load(station, args):
    if not station.player.pins:
        raise ProtocolError("state", "no lines are wired: setup first")
    names = ("first_slot", "slots", "played", "pulses")
    values = [integer(name, text, 0, protocol.MOST) for name, text in zip(names, args)]
    stamped = len(args) == 5 and bool(integer("stamps", args[4], 0, 1))
    bank = station.player.banks.load(values[0], values[1], values[2], values[3], stamped)
    return [("shot", bank.shot)]


def _data(station, args):
    shot = integer("shot", args[0], 0, 65535)
    piece = integer("piece", args[1], 0, 65535)
    if integer("characters", args[2], 0, protocol.MAX_LINE) != len(args[4]):
        raise ProtocolError("args", "%d characters, not %s" % (len(args[4]), args[2]))
    runs = protocol.from_base64(args[4])
    bank = station.player.banks.data(shot, piece, runs)
    return [("piece", bank.piece), ("slots_left", bank.registers[quick.SLOTS]), ("ticks", bank.ticks), _latch(station)]


def _play(station, args):
    station.check_latch()
    bank, now = station.player.play(integer("shot", args[0], 0, 65535))
    station.watch()  # what came meanwhile stops what has just begun
    station.check_latch()
    return [("shot", bank.shot), ("now", int(now)), ("ticks", bank.ticks)]


def _listen(station, args):
    station.check_latch()
    slots = integer("slots", args[0], 1, BANK_SLOTS * BANKS)
    bank = station.player.listen(slots, len(args) < 2 or integer("spikes", args[1], 0, 1) == 1)
    return [("shot", bank.shot)]


def _finished(station, text: str):
    """The bank of a shot that has ended; raises ProtocolError."""
    bank = station.player.banks.find(integer("shot", text, 0, 65535))
    if bank is station.player.playing:
        station.player.end_listening()
    if bank.state != DONE:
        raise ProtocolError("state", "shot %d is %s" % (bank.shot, bank.state))
    if bank.fault:
        bank.fetched = True
        raise ProtocolError("capture", bank.fault)
    return bank


def _counts(station, args):
    player, banks = station.player, station.player.banks
    bank = banks.find(integer("shot", args[0], 0, 65535))
    if bank.stamped and bank.timing is not None:
        raise ProtocolError("state", "shot %d has time stamps, not counts" % bank.shot)
    if bank is player.playing and bank.timing is not None and player.listener.counting >= 0:
        told = player.slots_counted()
        strays = [("before", 0), ("guard", 0), ("after", 0), ("elapsed_ms", 0)]
    else:
        told = _finished(station, args[0]).played
        strays = [
            ("before", banks.seen[bank.seen_at]),
            ("guard", banks.strays(bank)),
            ("after", bank.after),
            ("elapsed_ms", bank.elapsed_ms),
        ]
    begin = integer("from", args[1], 0, bank.played)
    end = max(begin, min(begin + COUNTS_A_LINE, told))
    bank.fetched = bank.fetched or end == bank.played
    fields = [("slots", end - begin), ("over", told)] + strays + [_latch(station)]
    return fields, banks.counts(bank, begin, end - begin)


def _stamps(station, args):
    bank = _finished(station, args[0])
    if not bank.stamped:
        raise ProtocolError("state", "shot %d has counts, not time stamps" % bank.shot)
    if args[1] == "axon":
        words, at, total = station.player.listener.spikes, 0, bank.stamps
    elif args[1] == "sync" and bank.timing is None:
        words, at, total = station.player.banks.words, bank.words_at, bank.played + 1
    elif args[1] == "sync":
        words, at, total = station.player.banks.seen, bank.seen_at, bank.played + 1
    else:
        raise ProtocolError("range", "stamps of axon or sync")
    begin = integer("from", args[2], 0, total)
    end = min(begin + STAMPS_A_LINE, total)
    data = bytearray()
    last = 0
    for i in range(begin, end):
        rounds = ~words[at + i] & 0xFFFFFFFF
        protocol.put_varint(data, rounds - last & 0xFFFFFFFF)
        last = rounds
    bank.fetched = bank.fetched or end == total
    return [("stamps", end - begin), ("of", total)], protocol.to_base64(data)


def _abort(station, args):
    station.opened = NOTHING_OPENED
    station.player.rest()
    station.player.banks.free(keep_done=False)
    station.park()
    return [("parked", int(station.parked))]


def _safe(station, args):
    station.make_safe("host")
    return _beat(station, args)


def _clear(station, args):
    station.clear()
    return _beat(station, args)


def _test(station, args):
    """Checks that touch no neuron: DAC, lines, and one sync pulse from the sequencer to the counter."""
    station.player.rest()
    dac = "none"
    if station.threshold is not None:
        dac = "ok" if station.park() else "bad"
    return [
        ("dac", dac),
        ("lines", "low" if not any(machine.Pin(pin).value() for pin in station.player.pins) else "high"),
        ("clock", "ok" if machine.freq() % sequencer.TICK_HZ == 0 else "bad"),
        ("path", station.player.sync_test(SELF_TEST_TICKS)),
    ]


ONCE = ("load", "listen")  # each begins a new shot
LONG = {"counts": _counts, "stamps": _stamps}  # with data at the end
HANDLERS = {
    "limits": _limits,
    "status": _status,
    "beat": _beat,
    "setup": _setup,
    "vth": _vth,
    "park": _park,
    "store": _store,
    "timing": _timing,
    "load": _load,
    "data": _data,
    "play": _play,
    "listen": _listen,
    "abort": _abort,
    "safe": _safe,
    "clear": _clear,
    "test": _test,
}
