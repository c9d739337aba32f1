"""Show a device's passport: every pulse and reset it has had, its calibrations, and how much of its endurance is left.

hil device                     all devices that were ever played on a real bench
hil device die7-c3 --figure life.png
hil device init                its device file, asked for or by flags: --id die7-c3 --pulses 1e9 --resets 1e8
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from calibration.picture import new_figure, printed, save_figure
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.durable import write_durably
from drivers.errors import InputError
from drivers.wear.passport import Passport, load_passport, passport_file, passport_folder
from hil.terminal.visible import visible

if TYPE_CHECKING:
    from drivers.device import DeviceFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil device`."""
    parser.add_argument("device", nargs="?", metavar="ID|FILE", help="device id or device file (default: list them)")
    parser.add_argument("--bench", metavar="FILE", help="the bench whose file says where passports are")
    parser.add_argument(
        "--figure", type=Path, metavar="FILE", help="draw pulses a spike and both resistance states over its life"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    new = parser.add_argument_group("init: a device file, which only its owner can fill in")
    new.add_argument("--id", default="", help="what its passport and calibrations will call it")
    new.add_argument("--pulses", type=float, metavar="N", help="dendrite pulses that it may have in its life")
    new.add_argument("--resets", type=float, metavar="N", help="returns to low resistance that it may have in its life")
    new.add_argument("--description", default="", metavar="TEXT", help="die, cell, stack, forming")
    new.add_argument("--print", action="store_true", dest="only_print", help="write to standard output, stated or not")
    new.add_argument("--out", type=Path, metavar="FILE", help="file to write (default: ID.toml)")


def run(args: argparse.Namespace) -> int:
    """Print one passport or the list, or write a device file; returns the exit code."""
    if args.device == "init":
        return _init(args)
    folder = passport_folder(load_bench(args.bench).passports if args.bench else "").absolute()
    if args.device is None:
        passports = [load_passport(path.stem, folder) for path in sorted(folder.glob("*.json"))]
        if args.json:
            devices = [p.model_dump(mode="json") for p in passports]
            print(json.dumps({"devices": devices, "folder": str(folder)}))
        elif passports:
            print(f"passports in {visible(str(folder))}")
            print("\n".join(f"{p.device:<20} {p.pulses:>16,} pulses {p.resets:>14,} resets" for p in passports))
        else:
            print(f"no passports in {visible(str(folder))}: none was played on a real bench yet")
        return 0
    file = load_device(args.device) if args.device.endswith(".toml") else None
    name = file.id if file is not None else args.device
    path = passport_file(name, folder)
    if not path.exists():
        raise InputError(f"device {name!r} has no passport in {folder}; hil device lists those that have")
    passport = load_passport(name, folder)
    if args.figure is not None:
        _draw(passport, args.figure)
    if args.json:
        print(json.dumps({**passport.model_dump(mode="json"), "file": str(path)}))
    else:
        _print(passport, file, path)
    return 0


def _init(args: argparse.Namespace) -> int:
    from hil.bringup.ask import at_terminal
    from hil.bringup.compose import device_text
    from hil.bringup.interview import complete_device

    budget = {"endurance_pulses": args.pulses, "endurance_resets": args.resets}
    for name, value in budget.items():
        if value is not None and (value < 1 or value != int(value)):
            raise InputError(f"{name} = {value:g}: a whole number, such as 1e9")
    name, description, endurance = args.id, args.description, {k: v and int(v) for k, v in budget.items()}
    if not args.only_print and at_terminal() and (not name or None in endurance.values()):
        name, description, endurance = complete_device(name, description, endurance)
    text, missing = device_text(name, description, endurance)
    if args.only_print:
        print(text, end="")
        return 0
    if missing:
        flags = {"id": "--id", "endurance_pulses": "--pulses", "endurance_resets": "--resets"}
        raise InputError(
            f"nobody but you knows {', '.join(missing)}: say {' '.join(flags[key] for key in missing)}; its sheet or "
            "its maker states the endurance, and a guess can kill it"
        )
    out: Path = args.out or Path(f"{name}.toml")
    if out.exists():
        raise InputError(f"{out} is there already: name another with --out, or remove it")
    write_durably(out, text, "device file")
    print(visible(f"wrote {out}; next: hil bench init --device {quote(str(out))}"))
    return 0


def _print(passport: Passport, file: DeviceFile | None, path: Path) -> None:
    print(visible(f"device {passport.device}, passport {path}"))
    budget = {"pulses": file.endurance_pulses, "resets": file.endurance_resets} if file is not None else {}
    for what, had in (("pulses", passport.pulses), ("resets", passport.resets)):
        used = f"  {had / budget[what]:.3%} of {budget[what]:,}" if budget else ""
        print(f"  {what:<8} {had:>16,}{used}")
    print(f"  played   {passport.played_s / 3600:>16.3f} h")
    for entry in passport.entries:
        gain = f"{entry.pulses_a_spike:.3f} pulses a spike" if entry.pulses_a_spike else ""
        if entry.low_edge_v is not None and entry.high_edge_v is not None:
            gain += f"  window {entry.low_edge_v:.3f}…{entry.high_edge_v:.3f} V"
        print(
            visible(
                f"  {entry.at:%Y-%m-%d %H:%M}  {entry.calibration}  V_th {entry.vth_v:g} V  {entry.timing_key}  "
                f"after {entry.pulses_before:,} pulses  {gain}"
            )
        )


@printed
def _draw(passport: Passport, file: Path) -> None:
    """Pulses a spike, V_th and both edges of its window against pulses applied; raises InputError.

    The edges are the two resistance states as the comparator sees them: resistance times sense current. A device whose
    V_th is chosen anew for the same gain drifts in V_th; one that keeps its V_th, in pulses a spike.
    """
    gains = [e for e in passport.entries if e.pulses_a_spike is not None]
    edges = [e for e in passport.entries if e.low_edge_v is not None or e.high_edge_v is not None]
    if not gains and not edges:
        raise InputError(f"device {passport.device!r} has no calibration to draw; run hil calibrate threshold transfer")
    figure = new_figure(7, 6)
    top, bottom = figure.subplots(2, 1, sharex=True)
    for key in dict.fromkeys(entry.timing_key for entry in gains):
        mine = [entry for entry in gains if entry.timing_key == key]
        top.plot([e.pulses_before for e in mine], [e.pulses_a_spike or 0.0 for e in mine], marker="o", label=key)
    every = passport.entries
    bottom.plot([e.pulses_before for e in every], [e.vth_v for e in every], "k.-", lw=0.8, label="V_th in use")
    for name, text in (("high_edge_v", "high-resistance state"), ("low_edge_v", "low-resistance state (1 % fires)")):
        known = [(e.pulses_before, getattr(e, name)) for e in edges if getattr(e, name) is not None]
        bottom.plot([x for x, _ in known], [v for _, v in known], marker="o", label=text)
    top.set_ylabel("pulses a spike")
    bottom.set_ylabel("V_th and its window, V")
    bottom.set_xlim(left=0)
    bottom.set_ylim(bottom=0)
    bottom.set_xlabel("pulses applied to the device")
    top.set_title(f"device {passport.device}: {passport.pulses:,} pulses, {passport.resets:,} resets")
    for axis in (top, bottom):
        if axis.lines:
            axis.legend()
    save_figure(figure, file)
