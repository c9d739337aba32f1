"""Bench files: look for parts and write one, explain one, park the DAC of one, and take its latch off.

hil bench init                         what is connected here, questions for the rest, and a commented bench.toml
hil bench init --print --reader scope  a template with every key, without looking
hil bench show --bench bench.toml      what a bench file says, in words
hil bench park-dac --bench bench.toml  the parked V_th into the DAC's EEPROM, once, after asking
hil bench clear --bench bench.toml     why a part keeps the bench safe, and, after asking, its latch off
hil bench schema                       JSON schema of bench files, for editors
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from shlex import quote
from typing import Any

from drivers.benchfile import BenchFile, load_bench
from drivers.durable import write_durably
from drivers.errors import InputError
from drivers.settings import PigpioSettings
from hil.terminal.visible import visible

ACTIONS = ("init", "show", "park-dac", "clear", "schema")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil bench`."""
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument(
        "--bench", default="mock", metavar="NAME|FILE", help="show, park-dac, clear: which (default: mock)"
    )
    parser.add_argument("--yes", action="store_true", help="park-dac, clear: do not ask")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    new = parser.add_argument_group("init: what nobody can find out by looking")
    new.add_argument("--name", default="bench", help="what runs and calibrations will call it (default: bench)")
    new.add_argument("--device", default="", metavar="FILE", help="device file; `hil device init` writes one")
    new.add_argument("--vth-min", type=float, metavar="VOLTS", help="V_th at which your device fires without pulses")
    new.add_argument("--vth-max", type=float, metavar="VOLTS", help="V_th that no state of your device reaches")
    new.add_argument("--pulses", choices=("pigpio", "pico"), help="default: a Pico if there is one, else pigpio")
    new.add_argument("--reader", choices=("scope", "pico", "both", "gpio", "gpio+scope"), help="default: what is there")
    new.add_argument("--threshold", choices=("pico", "mcp4728", "mcp4725", "manual"), help="default: where a DAC is")
    new.add_argument("--addresses", type=int, metavar="N", help="select addresses wired, 0 to 4 (default: 4)")
    new.add_argument("--scope", default="", metavar="RESOURCE", help="VISA resource of the oscilloscope")
    new.add_argument("--pigpiod", default="localhost:8888", metavar="HOST:PORT", help="where pigpiod runs")
    new.add_argument("--no-panel", action="store_true", help="no enable, e-stop and lamp on the Pi")
    new.add_argument(
        "--print", action="store_true", dest="only_print", help="look at nothing, write to standard output"
    )
    new.add_argument("--out", type=Path, default=Path("bench.toml"), metavar="FILE", help="file to write")


def run(args: argparse.Namespace) -> int:
    """Do one of the actions; returns the exit code."""
    return {"init": _init, "show": _show, "park-dac": _park, "clear": _clear, "schema": _schema}[args.action](args)


def _schema(_: argparse.Namespace) -> int:
    print(json.dumps(BenchFile.model_json_schema(), indent=2, ensure_ascii=False))
    return 0


def _show(args: argparse.Namespace) -> int:
    from hil.bringup.explain import explain

    file = load_bench(args.bench)
    print(file.model_dump_json() if args.json else "\n".join(map(visible, explain(file, args.bench))))
    return 0


def _park(args: argparse.Namespace) -> int:
    from hil.bringup.park import park_dac

    file = load_bench(args.bench)
    before, now = park_dac(file, (lambda _: True) if args.yes else _worth_it)
    if args.json:
        print(json.dumps({"before_v": before, "now_v": now}))
    elif now is None:
        print("nothing was written")
    else:
        changed = "held it already" if now == before else "was written and read back"
        print(f"bench {file.name!r}: {now:.4g} V at power-up; the EEPROM {changed}")
    return 0 if now is not None else 1


def _clear(args: argparse.Namespace) -> int:
    from hil.bringup.latch import clear_latches

    def told(reason: str) -> bool:
        if args.yes:
            print(visible(reason), file=sys.stderr)
            return True
        return _confirm(f"{reason} Is it looked into, and may the latch be taken off?")

    found = list(clear_latches(load_bench(args.bench), told))
    if args.json:
        print(json.dumps({"parts": [{"name": n, "latch": why or None, "cleared": off} for n, why, off in found]}))
    else:
        for name, why, off in found:
            print(f"{name}: {'not latched' if not why else 'cleared' if off else f'still latched: {visible(why)}'}")
    return 0 if all(off or not why for _, why, off in found) else 1


def _worth_it(question: str) -> bool:
    return _confirm(f"{question} An EEPROM wears: once is enough.")


def _confirm(question: str) -> bool:
    if not sys.stdin.isatty():
        raise InputError(f"{question} There is no terminal to ask; say --yes if you mean it")
    print(f"{visible(question)} [yes/no] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _init(args: argparse.Namespace) -> int:
    from hil.bringup.ask import at_terminal
    from hil.bringup.compose import bench_text
    from hil.bringup.interview import complete_bench

    if not args.only_print and args.out.exists():
        raise InputError(f"{args.out} is there already: name another with --out, or remove it")
    answers = _answers(args)
    if answers.missing() and not args.only_print and at_terminal():
        chosen = ("pulses", "reader", "threshold", "scope")
        stated = {name for name in chosen if getattr(args, name)} | ({"panel"} if args.no_panel else set())
        answers = complete_bench(answers, stated | ({"addresses"} if args.addresses is not None else set()))
    missing = answers.missing()
    text = bench_text(answers)
    if args.only_print:
        print(text, end="")
        return 0
    if missing:
        flags = {"device": "--device FILE", "limits.vth_min_v": "--vth-min", "limits.vth_max_v": "--vth-max"}
        flags["scope.resource"] = "--scope RESOURCE"
        say = " ".join(flags[key] for key in sorted(missing))
        raise InputError(
            f"nobody but you knows {', '.join(sorted(missing))}: say {say}; `hil bench init --print` shows a template"
        )
    write_durably(args.out, text, "bench file")
    file = quote(str(args.out))
    print(visible(f"wrote {args.out}; next: hil bench show --bench {file}, then hil doctor --bench {file}"))
    return 0


def _answers(args: argparse.Namespace) -> Any:
    from hil.bringup.compose import PI_COUNTS, Answers

    host, _, port = args.pigpiod.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"--pigpiod {args.pigpiod}: HOST:PORT, such as localhost:8888")
    addresses = 4 if args.addresses is None else args.addresses
    if not 0 <= addresses <= 4:
        raise InputError(f"--addresses {addresses}: 0 to 4; more are wired by hand in [wiring]")
    pigpiod = PigpioSettings(host=host, port=int(port))
    pulses, reader, threshold, found = args.pulses, args.reader, args.threshold, {}
    if not args.only_print:
        found = _looked(pigpiod)
        there = found.pop("there")
        pico = "Pico" in there or "pigpiod" not in there
        pulses = pulses or ("pico" if pico and reader not in PI_COUNTS else "pigpio")
        scope = "oscilloscope" in there
        reader = reader or ("both" if scope and "Pico" in there else "scope" if scope else "pico")
        threshold = threshold or ("pico" if "Pico" in there else "mcp4728" if "dac" in there else "manual")
    return Answers(
        name=args.name,
        pulses=pulses or "pigpio",
        reader=reader or "scope",
        threshold=threshold or ("pico" if pulses == "pico" else "mcp4728"),
        device=args.device,
        vth_min_v=args.vth_min,
        vth_max_v=args.vth_max,
        addresses=addresses,
        pigpiod=pigpiod,
        panel=not args.no_panel,
        **found | {"scope": args.scope or found.get("scope", "")},
    )


def _looked(pigpiod: PigpioSettings) -> dict[str, Any]:
    """What is there, told on standard error as it is found."""
    from hil.bringup.look import surroundings

    print("looking at USB, the LAN, pigpiod and I²C …", file=sys.stderr)
    seen = surroundings(pigpiod, 1)
    for one in seen.all:
        print(f"  {one.what:<20} {'found' if one.there else '—':<6} {visible(one.detail)}", file=sys.stderr)
    there = {one.what for one in seen.all if one.there} | ({"dac"} if seen.dac is not None else set())
    found: dict[str, Any] = {"there": there, "scope": seen.scope, "pico_port": seen.pico_port}
    return found if seen.dac is None else found | {"dac_address": seen.dac}
