"""Check every part of a bench: what was found, and what to do about it.

Before the first pulse:                  hil doctor --bench bench.toml
With known pulses through the board:     hil doctor --bench bench.toml --loopback
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from drivers.benchfile import BenchFile, load_bench
from drivers.checks import Check
from drivers.device import load_device
from drivers.errors import BenchError, CalibrationError, InputError
from hil.terminal.visible import visible

AT_REST = "at rest"  # checks of levels, which leave it to known pulses to tell why
ONLY_LOOPBACK = (
    "not played: only --loopback, which plays known pulses, can tell a line that is swapped or missing, a comparator "
    "that is stuck or upside down, an address that never closes, and a trigger that does not come"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil doctor`."""
    parser.add_argument("--bench", default="mock", metavar="NAME|FILE", help="bench to check (default: mock)")
    parser.add_argument("--device", metavar="NAME|FILE", help="device file (default: the bench's)")
    parser.add_argument("--loopback", action="store_true", help="play known pulses too")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Check and print; 0 when all is well, 1 otherwise."""
    file = load_bench(args.bench)
    found: list[Check] = []
    for check in checks(file, args.device or file.device, loopback=args.loopback):
        found.append(check)
        if not args.json:
            _print(check)
    ok = all(check.ok for check in found)
    if args.json:
        print(json.dumps({"checks": [asdict(check) for check in found], "ok": ok}))
    else:
        print("all is well" if ok else f"{sum(not c.ok for c in found)} of {len(found)} checks failed")
    return 0 if ok else 1


def checks(file: BenchFile, device: str, *, loopback: bool) -> Iterator[Check]:
    """Every check, as it is made. Without `loopback` nothing is played, and it is said what that leaves open."""
    yield Check("bench file", True, f"{file.name}, {file.kind}, {file.slot.key()}")
    yield _device(device)
    yield _weights()
    yield _calibration(file, device)
    sound = True
    if file.kind == "pi":
        from drivers.parts.assembly import check_parts

        for check in check_parts(file):
            sound &= check.ok or check.name.endswith(AT_REST)
            yield check
    if not loopback:
        yield Check("loopback", True, ONLY_LOOPBACK)
    elif not sound:
        yield Check("loopback", False, "not played: a part above does not answer", "mend the parts above first")
    else:
        yield from _loopback(file, device)


def _device(name: str) -> Check:
    try:
        device = load_device(name)
    except InputError as error:
        return Check("device file", False, str(error), "give --device a file that states id and endurance")
    return Check("device file", True, f"{device.id}, endurance {device.endurance_pulses:,} pulses")


def _weights() -> Check:
    from hil.network.weights import load_weights

    try:
        weights = load_weights()
    except InputError as error:
        return Check("weights", False, str(error), "reinstall the package, or hil train")
    return Check("weights", True, f"{weights.metadata.get('command', 'of unknown origin')}, {weights.digest[:12]}")


def _calibration(file: BenchFile, device: str) -> Check:
    """Whether the record that the bench file names is there, and valid for what the file says now."""
    from calibration.record import check_valid, load_record
    from drivers.wear.passport import Passport, load_passport, passport_folder

    name, again = (
        "calibration",
        f"run hil calibrate threshold transfer --bench FILE, and name its record in {file.name!r}",
    )
    if not file.calibration:
        if file.kind == "mock":
            return Check(name, True, "none: the bench in process measures its own for every run")
        return Check(name, False, "the bench file names none", again)
    try:
        record = load_record(Path(file.calibration))
        device_id, passport = load_device(device).id, Passport(device="")
        if file.kind == "pi":
            passport = load_passport(device_id, passport_folder(file.passports))
        facts = {"kind": file.kind, "device": device_id}
        check_valid(
            record,
            bench=file.name,
            identity=facts,
            device=device_id,
            device_pulses=passport.pulses if file.kind == "pi" else None,
            drifted=passport.drifted,
        )
        curve = record.curve(file.slot.key(), record.vth_v, 1)
    except (InputError, CalibrationError) as error:
        return Check(name, False, str(error), again)
    most = int(curve.pulses[-1])
    return Check(name, True, f"{record.id} of {record.made_at:%Y-%m-%d %H:%M}, {record.vth_v:g} V, up to {most} pulses")


def _loopback(file: BenchFile, device: str) -> Iterator[Check]:
    from drivers.checks import failed, loopback, proofs
    from drivers.opening import make_bench
    from hil.store.history import known_passport

    found: list[Check] = []
    try:
        known_passport(file, load_device(device))  # known pulses are pulses, too
        with make_bench(file, load_device(device), traces=True) as bench:
            for check in loopback(bench, file):
                found.append(check)
                if not _about_polarity(check):
                    yield check
            if all(check.ok for check in found):
                yield from proofs(bench)
    except (BenchError, InputError, CalibrationError) as error:
        yield failed("loopback", error, "mend the parts above first")
    if found and _about_polarity(found[-1]):
        yield _polarity(file, device, counter=COUNTER_SEES in found[-1].detail)


COUNTER_SEES, SCOPE_SEES = "the axon is high at rest", "comparator's polarity"  # of an axon on the wrong level


def _about_polarity(check: Check) -> bool:
    """Whether a reader saw an axon that rests on the wrong level."""
    return not check.ok and (COUNTER_SEES in check.detail or SCOPE_SEES in check.detail)


def _polarity(file: BenchFile, device: str, *, counter: bool) -> Check:
    """Whether an axon on the wrong level is stuck or upside down."""
    from drivers.checks import failed

    turned = not file.spikes.inverted
    level = "high" if turned else "low"
    try:
        upside_down, remedy = _upside_down(file, device, counter=counter)
    except BenchError as error:
        return failed(
            "axon level", error, f"axon stuck {level} at times: check the axon wire and the comparator's output"
        )
    if upside_down:
        return Check("axon polarity", False, f"the axon rests {level} and goes the other way with every spike", remedy)
    return Check(
        "axon level",
        False,
        f"the axon stays {level} whatever V_th is",
        f"axon stuck {level}: check the comparator's output and the axon wire for a short, and its supply",
    )


def _upside_down(file: BenchFile, device: str, *, counter: bool) -> tuple[bool, str]:
    """Whether the axon on the wrong level moves where the neuron fires, and what to do then. Raises BenchError.

    A counter cannot read it the other way round, but what it misses depends on V_th unless the axon is stuck. Of two
    readers the one that saw it looks by itself: the other may be such a counter.
    """
    from drivers.checks import fires, heeds_threshold
    from drivers.opening import make_bench

    remedy = "exchange the comparator's inputs"
    alone = file.model_copy(update={"axon_reader": next(r for r in file.readers if (r == "pico") == counter)})
    if counter:
        with make_bench(alone, load_device(device)) as bench:
            return heeds_threshold(bench, alone), remedy
    turned = not file.spikes.inverted
    other = alone.model_copy(update={"spikes": file.spikes.model_copy(update={"inverted": turned})})
    with make_bench(other, load_device(device), traces=True) as bench:
        if "pico" not in file.readers:
            remedy += f", or set spikes.inverted = {str(turned).lower()}"
        return fires(bench, other), remedy


def _print(check: Check) -> None:
    """One row, as soon as it is known."""
    from rich.console import Console
    from rich.text import Text

    # As text: "[model]" in what an instrument or a file says is no markup.
    row = Text.assemble(("ok  ", "green") if check.ok else ("NO  ", "red"), (f"{visible(check.name):<26} ", "bold"))
    row.append(visible(check.detail))
    console = Console(soft_wrap=True)
    console.print(row)
    if not check.ok and check.advice:
        console.print(Text(f"    → {visible(check.advice)}"))
