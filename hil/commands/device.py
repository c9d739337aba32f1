"""Show a device's passport: every pulse and reset it has had, its calibrations, and how much of its endurance is left.

hil device                     all devices that were ever played on a real bench
hil device die7-c3 --figure life.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.passport import Passport, load_passport, passport_file, passport_folder
from drivers.bench import InputError
from drivers.device import load_device

if TYPE_CHECKING:
    from drivers.device import DeviceFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil device`."""
    parser.add_argument("device", nargs="?", metavar="ID|FILE", help="device id or device file (default: list them)")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw pulses a spike over the device's life")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Print one passport or the list; returns the exit code."""
    if args.device is None:
        found = sorted(passport_folder().glob("*.json"))
        passports = [load_passport(path.stem) for path in found]
        if args.json:
            print(json.dumps({"devices": [p.model_dump(mode="json") for p in passports]}))
        elif passports:
            print("\n".join(f"{p.device:<20} {p.pulses:>16,} pulses {p.resets:>14,} resets" for p in passports))
        else:
            print(f"no passports in {passport_folder()}: none was played on a real bench yet")
        return 0
    file = load_device(args.device) if args.device.endswith(".toml") else None
    name = file.id if file is not None else args.device
    if not passport_file(name).exists():
        raise InputError(f"device {name!r} has no passport in {passport_folder()}; hil device lists those that have")
    passport = load_passport(name)
    if args.figure is not None:
        _draw(passport, args.figure)
    if args.json:
        print(passport.model_dump_json())
    else:
        _print(passport, file)
    return 0


def _print(passport: Passport, file: DeviceFile | None) -> None:
    print(f"device {passport.device}")
    budget = {"pulses": file.endurance_pulses, "resets": file.endurance_resets} if file is not None else {}
    for what, had in (("pulses", passport.pulses), ("resets", passport.resets)):
        used = f"  {had / budget[what]:.3%} of {budget[what]:,}" if budget else ""
        print(f"  {what:<8} {had:>16,}{used}")
    print(f"  played   {passport.played_s / 3600:>16.3f} h")
    for entry in passport.entries:
        gain = f"{entry.pulses_a_spike:.3f} pulses a spike" if entry.pulses_a_spike else ""
        print(
            f"  {entry.at:%Y-%m-%d %H:%M}  {entry.calibration}  V_th {entry.vth_v:g} V  {entry.timing_key}  "
            f"after {entry.pulses_before:,} pulses  {gain}"
        )


def _draw(passport: Passport, file: Path) -> None:
    """Pulses a spike against pulses applied, one line a V_th and timing; raises InputError."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    known = [entry for entry in passport.entries if entry.pulses_a_spike is not None]
    if not known:
        raise InputError(f"device {passport.device!r} has no calibration to draw; run hil calibrate transfer")
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for key in dict.fromkeys((entry.vth_v, entry.timing_key) for entry in known):
        mine = [entry for entry in known if (entry.vth_v, entry.timing_key) == key]
        x, y = [e.pulses_before for e in mine], [e.pulses_a_spike or 0.0 for e in mine]
        axis.plot(x, y, marker="o", label=f"{key[0]:g} V, {key[1]}")
    axis.set_xlabel("pulses applied to the device")
    axis.set_ylabel("pulses a spike")
    axis.set_title(f"device {passport.device}: {passport.pulses:,} pulses, {passport.resets:,} resets")
    axis.legend()
    try:
        figure.savefig(file, dpi=130)
    except (OSError, ValueError) as error:
        raise InputError(f"figure {file}: {error}") from error
    finally:
        plt.close(figure)
