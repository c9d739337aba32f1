"""The options that commands share, and the settings that they make."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from calibration.record import load_record
from drivers.benchfile import BenchFile, load_bench
from drivers.device import DeviceFile, load_device
from drivers.errors import InputError
from drivers.signals import SlotTiming
from hil.network.helpings import parse_helpings
from hil.network.own import read_own
from hil.network.physical import parse_physical
from hil.network.source import DigitSource, folder_source, own_source
from hil.network.weights import SHIPPED, load_weights
from hil.run.config import DEFAULT_FULL_SCALE, RunConfig
from hil.terminal.visible import visible

if TYPE_CHECKING:
    from drivers.opening import Fidelity
    from hil.network.encode import Coding
    from hil.network.physical import Physical
    from hil.network.weights import Weights

MOST_SEED = 10**15  # PyTorch's generator takes a thousand times that


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """What every command that recognises digits takes."""
    parser.add_argument("--bench", default="mock", metavar="NAME|FILE", help="bench to play on (default: mock)")
    parser.add_argument("--device", metavar="NAME|FILE", help="device file (default: the bench's)")
    parser.add_argument(
        "--physical",
        default="conv1",
        metavar="PARTS",
        help="what runs on the neuron: conv1 (default), conv1:0-7, conv1,conv2, fc1, all, none",
    )
    parser.add_argument(
        "--play",
        choices=("all", "pooled"),
        default="all",
        help="neurons of a pooled layer: all (default, the paper's), or of each 2×2 the one with the largest drive",
    )
    parser.add_argument(
        "--vth", type=float, metavar="V", help="threshold voltage (default: as calibrated, or the bench's)"
    )
    parser.add_argument("--mode", choices=("adaptive", "fixed"), help="slot mode (default: the bench's)")
    parser.add_argument("--clock", type=float, metavar="HZ", help="dendrite clock of adaptive slots")
    parser.add_argument("--window", type=float, metavar="S", help="pulse window of fixed slots")
    parser.add_argument("--full-scale", metavar="LAYER=N,…", help="pulses for a layer's full-scale drive")
    parser.add_argument(
        "--helpings", metavar="A,B,…", help="pulses for a full-scale drive: A first, B more where that leaves doubt, …"
    )
    parser.add_argument("--sure", type=float, metavar="P", help="confidence that ends the helpings; see hil helpings")
    parser.add_argument(
        "--weights",
        metavar="NAME|FILE",
        help=f"weights: {', '.join(SHIPPED)}, or a file (default: positive)",
    )
    parser.add_argument(
        "--coding",
        choices=("whole", "excess"),
        help="what of a drive becomes pulses: all (the paper's), or what is above the unit's threshold "
        "(default: whole; excess with weights that see dark pixels)",
    )
    parser.add_argument("--calibration", metavar="FILE", help="calibration record with a transfer curve")
    parser.add_argument(
        "--drift",
        choices=("warn", "stop", "recalibrate"),
        default="warn",
        help="what to do when the neuron drifts from its calibration (default: warn)",
    )
    add_seed_argument(parser, "seed of noise and of the simulated neuron (default: 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def add_seed_argument(parser: argparse.ArgumentParser, text: str = "seed of the simulated neuron (default: 0)") -> None:
    """What every command takes in which chance has a part."""
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help=text)


def seed(text: str) -> int:
    """A seed, which no generator takes below 0; for argparse."""
    if not text.isdecimal() or int(text) > MOST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed 0…{MOST_SEED}")
    return int(text)


def add_wire_argument(parser: argparse.ArgumentParser) -> None:
    """What a command takes that opens a bench."""
    parser.add_argument(
        "--record-wire",
        type=Path,
        metavar="FILE",
        help="keep every byte to and from pigpiod, oscilloscope and Pico in a new file, for hil replay --wire",
    )


def slot_timing(args: argparse.Namespace, file: BenchFile) -> SlotTiming:
    """The bench's slot timing with --mode, --clock and --window applied; raises InputError.

    An option that would change nothing is refused, naming the one that does.
    """
    mode = args.mode or file.slot.mode
    if mode == "fixed" and args.clock is not None:
        raise InputError("--clock has no effect in mode fixed: give --window; or --mode adaptive")
    if mode == "adaptive" and args.window is not None:
        raise InputError("--window has no effect in mode adaptive: give --clock; or --mode fixed")
    changes = {"mode": args.mode, "dendrite_clock_hz": args.clock, "window_s": args.window}
    wanted = {name: value for name, value in changes.items() if value is not None}
    from pydantic import ValidationError

    from drivers.device import validation_line

    try:
        return SlotTiming.model_validate({**file.slot.model_dump(), **wanted})
    except ValidationError as error:
        raise InputError(f"slot timing: {validation_line(error)}") from error


def full_scale_pulses(text: str | None, physical: tuple[Physical, ...]) -> dict[str, int]:
    """`conv1=32,fc2=4096` over the defaults; raises InputError."""
    scales = dict(DEFAULT_FULL_SCALE)
    for item in text.split(",") if text else ():
        name, _, value = item.partition("=")
        if name not in scales or not value.isdigit() or not 1 <= int(value) <= 65_535:
            raise InputError(f"--full-scale {item!r}: give LAYER=N with one of {', '.join(scales)} and N in 1…65535")
        scales[name] = int(value)
        if name not in {part.layer.name for part in physical}:
            raise InputError(f"--full-scale {item!r} has no effect: {name} is not on the neuron; add it to --physical")
    return scales


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    """What a command takes that can recognise other digits than the shipped ones."""
    parser.add_argument(
        "--data",
        type=Path,
        dest="folder",
        metavar="DIR",
        help="folder with your own idx files, t10k-images and t10k-labels",
    )


def add_own_arguments(parser: argparse.ArgumentParser) -> None:
    """What a command takes that can look at somebody's own pictures."""
    parser.add_argument(
        "--image", type=Path, action="append", default=[], metavar="FILE", help="a picture of a digit; may be repeated"
    )
    parser.add_argument(
        "--label", type=int, action="append", default=[], metavar="N", help="what it shows, one for each --image"
    )


def source_of(args: argparse.Namespace) -> DigitSource:
    """Which digits are meant by --data, --image and --label; raises InputError.

    What was made of a picture is shown on standard error.
    """
    pictures: list[Path] = getattr(args, "image", [])
    labels: list[int] = getattr(args, "label", [])
    folder: Path | None = getattr(args, "folder", None)
    if folder is not None and pictures:
        raise InputError("--data and --image: one or the other")
    if labels and len(labels) != len(pictures):
        raise InputError(f"{len(labels)} --label for {len(pictures)} --image: one for each, or none")
    wrong = [label for label in labels if not 0 <= label <= 9]
    if wrong:
        raise InputError(f"--label {wrong[0]}: a digit, 0…9")
    if folder is not None:
        return folder_source(folder)
    if not pictures:
        return DigitSource()
    made = [read_own(path) for path in pictures]
    for path, digit in zip(pictures, made, strict=True):
        print(f"{visible(str(path))}: {digit.made}\n{digit.shown()}", file=sys.stderr)
    return own_source(made, labels, [path.name for path in pictures])


def settle(
    args: argparse.Namespace, command: str, digits: str | int, noise: tuple[int, ...], fidelity: Fidelity, traces: bool
) -> tuple[RunConfig, Weights]:
    """Everything but the transfer curve; raises InputError on the first thing that cannot be used.

    `digits` are A:B, or how many from the first on, fewer where there are fewer.
    """
    file = load_bench(args.bench)
    if file.kind != "mock":
        for option, given in (("--traces", traces), ("--fidelity counts", fidelity == "counts" and command == "run")):
            if given:
                raise InputError(
                    f"{option} has no effect on bench {file.name!r}, which is no simulation: an axon_reader with an "
                    "oscilloscope records traces"
                )
    device: DeviceFile = load_device(args.device or file.device)
    vth_v = _vth(args, file)
    file.check_threshold(vth_v)
    parts = parse_physical(args.physical)
    weights = load_weights(args.weights)
    source = source_of(args)
    which = digits if isinstance(digits, str) else f"0:{min(digits, source.count)}"
    config = RunConfig.model_validate(
        {
            "command": command,
            "digits": which,
            "source": source,
            "noise": noise,
            "physical": args.physical,
            "play": args.play,
            "seed": args.seed,
            "vth_v": vth_v,
            "timing": slot_timing(args, file),
            "bench": file,
            "device": device,
            "fidelity": fidelity,
            "traces": traces,
            "weights_path": weights_name(args.weights),
            "weights_digest": weights.digest,
            "sign": weights.sign,
            "coding": _coding(args, weights),
            "drift": args.drift,
            **_amounts(args, parts),
        }
    )
    _ = config.images
    return config, weights


def _amounts(args: argparse.Namespace, parts: tuple[Physical, ...]) -> dict[str, Any]:
    """Pulses of full-scale drives, and in how many helpings; raises InputError."""
    scales = full_scale_pulses(args.full_scale, parts)
    if args.helpings is None:
        if args.sure is not None:
            raise InputError("--sure is for --helpings, for example --helpings 8,24 --sure 0.99")
        return {"full_scale_pulses": scales}
    helpings = parse_helpings(args.helpings)
    if len(parts) != 1:
        raise InputError(f"--helpings: one layer must be on the neuron, and --physical is {args.physical}")
    name = parts[0].layer.name
    if args.full_scale and f"{name}=" in args.full_scale:
        raise InputError(f"--helpings say what full scale is: leave {name} out of --full-scale")
    if args.sure is None or not 0 < args.sure <= 1:
        raise InputError(
            "--helpings need --sure P, the confidence above 0, at most 1, that ends them: see hil helpings"
        )
    return {
        "full_scale_pulses": {**scales, name: helpings.total},
        "helpings": helpings.pulses,
        "sure": args.sure,
    }


def _coding(args: argparse.Namespace, weights: Weights) -> Coding:
    """What of a drive is coded; raises InputError."""
    if args.coding == "excess" and weights.sign != "positive":
        raise InputError("--coding excess is for all-positive weights: a threshold belongs to a whole unit, not a half")
    return cast("Coding", args.coding or ("excess" if weights.sees == "on-off" else "whole"))


def as_options(config: RunConfig, args: argparse.Namespace) -> list[str]:
    """The options that make this configuration of `hil evaluate`, but for its digits and noise; `args` as given."""
    layer = config.parts[0].layer.name
    options = ["--weights", config.weights_path] if config.weights_path else []
    for name, usual in (("bench", "mock"), ("device", None), ("vth", None), ("calibration", None), ("seed", 0)):
        given = getattr(args, name)
        options += [f"--{name}", str(given)] if given != usual else []
    options += ["--physical", config.physical] if config.physical != "conv1" else []
    options += ["--play", config.play] if config.play != "all" else []
    options += ["--coding", config.coding] if config.coding != "whole" or config.weights_path else []
    if config.timing.mode == "fixed":
        options += ["--mode", "fixed", "--window", f"{config.timing.window_s:g}"]
    elif config.timing != config.bench.slot:
        options += ["--mode", "adaptive", "--clock", f"{config.timing.dendrite_clock_hz:g}"]
    if config.helpings:
        return [*options, "--helpings", ",".join(map(str, config.helpings)), "--sure", f"{config.sure:.6g}"]
    return [*options, "--full-scale", f"{layer}={config.full_scale_pulses[layer]}"]


def weights_name(given: str | None) -> str | None:
    """Shipped weights by their name, a file by its whole path, so that a run can be resumed from elsewhere."""
    return given if given is None or given in SHIPPED else str(Path(given).absolute())


def _vth(args: argparse.Namespace, file: BenchFile) -> float:
    """As asked for, else as calibrated, else the bench's; raises InputError for a record that is not there."""
    if args.vth is not None:
        return float(args.vth)
    name = args.calibration or file.calibration
    return load_record(Path(name)).threshold_v if name else file.vth_v


def percent(text: str) -> int:
    """A whole percentage from 0 to 100, for argparse."""
    value = int(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{value} % is outside 0…100")
    return value


def share(text: str) -> float:
    """A percentage between 0 and 100 as a share, for argparse."""
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: give a percentage, for example 98.7") from error
    if not 0 < value < 100:
        raise argparse.ArgumentTypeError(f"{text}: above 0 and below 100 percent")
    return value / 100
