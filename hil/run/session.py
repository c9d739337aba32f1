"""A run and its file: begin one, go on with it, and say what has changed since."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.record import CalibrationRecord, check_valid, load_record, save_record
from calibration.transfer import TransferCurve
from drivers.benchfile import is_shipped, load_bench
from drivers.device import load_device
from drivers.errors import CalibrationError, InputError
from drivers.wear.passport import Passport, load_passport, mark_drifted, passport_folder
from hil.network.weights import load_weights
from hil.run.config import RunConfig
from hil.run.digits import Course, DigitResult, recognise_digits
from hil.run.gauges import Gauges
from hil.run.judge import ImplausibleError, Judge
from hil.run.loop import Odometer
from hil.run.recalibration import Recorded
from hil.store import frozen
from hil.store.history import behind
from hil.store.recording import Played, Reader, RecordingBench, Retaking
from hil.store.runfile import RunFile

if TYPE_CHECKING:
    from drivers.bench import Bench
    from hil.network.layers import Floats
    from hil.network.weights import Weights
    from hil.run.loop import Watcher

RUNS = Path("runs")
SUFFIX = ".sqlite"
_RESULT_FIELDS = tuple(field.name for field in fields(DigitResult))


def free_bytes(path: Path) -> int:
    """Free bytes where a run file will be, whose folder may have to be made yet."""
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def begin(
    path: Path | None, config: RunConfig, identity: Mapping[str, str], sources: Mapping[str, str | None]
) -> RunFile:
    """A new run file with everything frozen, by default under runs/ with a name of its own.

    `sources` are the names that bench, device, … were given by. Raises RunFileError.
    """
    return frozen.begin(
        path or _new_path(config),
        config.command,
        config,
        identity,
        numbered=path is None,
        sources={what: _lasting(name) for what, name in sources.items()},
        calibration=config.calibration_id,
        odometer=device_history(config)[0],
    )


def _new_path(config: RunConfig) -> Path:
    """Time, command, device, under runs/."""
    return RUNS / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{config.command}-{config.device.id}{SUFFIX}"


def _lasting(name: str | None) -> str | None:
    """A file by its whole path, so that a run can be resumed from elsewhere; a shipped one by its name."""
    return str(Path(name).absolute()) if name and Path(name).exists() else name


def config_of(run: RunFile) -> RunConfig:
    """The frozen configuration; raises RunFileError, WrongKindError where no digits were recognised."""
    return frozen.settings_of(run, RunConfig, *frozen.OF_DIGITS)


def results_of(run: RunFile) -> list[DigitResult]:
    """The recorded results, by noise and image."""
    return [DigitResult(**{name: row[name] for name in _RESULT_FIELDS if name in row}) for row in run.results()]


def detail(result: DigitResult, maps: Mapping[str, Floats]) -> dict[str, Any]:
    """A result as it is recorded: with the outputs and a digest of every layer's maps, so that a replay can compare."""
    digests = {
        name: hashlib.blake2b(np.ascontiguousarray(m).data, digest_size=16).hexdigest() for name, m in maps.items()
    }
    return {**result.to_dict(), "logits": maps["fc2"].ravel().tolist(), "maps": digests}


def go_on(
    run: RunFile,
    config: RunConfig,
    weights: Weights,
    bench: Bench | None,
    *,
    watch: Watcher | None = None,
    gauge: Callable[[dict[str, Any]], None] = lambda _reading: None,
    stopping: Callable[[], bool] = lambda: False,
    retaking: Retaking = lambda _frame, _why: None,
    played: Played = lambda _capture: None,
) -> Iterator[tuple[DigitResult, dict[str, Floats]]]:
    """Recognise the digits that the run file lacks, recording every shot and every result as it comes.

    `gauge` is told what the bench says of itself after each digit, `retaking` of slots that are played again, and
    `played` of every shot that the bench plays.
    """
    recording = None
    if bench is not None:
        recording = RecordingBench(bench, run, stopping=stopping, retaking=retaking, played=played)
    if recording is not None:
        recording.set_threshold(config.vth_v)
    odometer = Odometer(run.fact("odometer"))

    def tell(text: str) -> None:
        print(text, file=sys.stderr)
        if judge.alarms <= run.count_events("drift"):
            return  # told before the run was stopped
        run.add_event("drift", text)
        left = calibration_in_force(run, config)
        if config.bench.kind == "pi" and left:
            mark_drifted(config.device.id, left, passport_folder(config.bench.passports))

    def renewed(number: int, curve: TransferCurve) -> None:
        warmth_c = bench.temperature_c if bench is not None else None
        keep_curve(run, config, number, curve, device_pulses=odometer.pulses, temperature_c=warmth_c)

    judged = {(row["noise"], row["index"]): row["judged"] for row in run.results() if "judged" in row}
    judge = Judge(config.drift, tell, alarms=0 if judged else run.count_events("drift"))
    gauges = Gauges(bench, judge)
    course = Course(
        keep=True,
        watch=watch,
        odometer=odometer,
        done={(result.noise, result.index): _pulses(result) for result in results_of(run)},
        judge=judge,
        judged=judged,
        recorded=recalibrations_of(run, config),
        renewed=renewed,
    )
    try:
        for result, maps in recognise_digits(config, weights, recording, course):
            reading = gauges.read()
            run.add_result({**detail(result, maps), "bench": reading, "judged": judge.state()})
            gauge(reading)
            yield result, maps
            if stopping():
                raise KeyboardInterrupt
    except ImplausibleError as error:
        # Recorded before it could be judged; a resumed run must take these shots again.
        run.set_image_aside(error.key, str(error))
        raise


def _pulses(result: DigitResult | None) -> tuple[int, int]:
    """Of a digit's frames, and of what was played again."""
    return (0, 0) if result is None else (result.planned_pulses, result.retaken_pulses)


def recalibrations_of(run: RunFile, config: RunConfig) -> Recorded:
    """The curves that were measured during a run, and the digits that came after them."""
    facts = _recalibrations(run)
    first = run.first_shots(config.command)
    return Recorded(
        before={digit: sum(shot > fact["after_shot"] for fact in facts) for digit, shot in first.items()},
        curves=[TransferCurve.from_dict(fact["curve"]) for fact in facts],
    )


def _recalibrations(run: RunFile) -> list[dict[str, Any]]:
    keys = (f"recalibration/{n}" for n in count(1))
    return [run.facts[key] for key in takewhile(run.facts.__contains__, keys)]


def curve_at(run: RunFile) -> Callable[[int, str], int]:
    """Which of a run's curves, 0 for the first, a shot (row id, purpose) is to be judged by: that in force when it was
    taken, and for the sweeps of a recalibration the one that came of them.
    """
    after = [fact["after_shot"] for fact in _recalibrations(run)]

    def number(shot: int, purpose: str) -> int:
        kind, _, which = purpose.partition("/")
        sweep = min(int(which), len(after)) if kind == "recalibrate" and which.isdecimal() else 0
        return sweep or sum(shot > last for last in after)

    return number


def calibration_in_force(run: RunFile, config: RunConfig) -> str:
    """The id of the calibration record whose curve a run decodes by now; empty where it began without one."""
    again = _recalibrations(run)
    return str(again[-1]["record"]) if again else config.calibration_id


def keep_curve(
    run: RunFile,
    config: RunConfig,
    number: int,
    curve: TransferCurve,
    *,
    device_pulses: int,
    temperature_c: float | None,
) -> None:
    """A curve measured during a run is a calibration too: write its record beside the run file, and say so."""
    record = CalibrationRecord(
        made_at=datetime.now(UTC),
        bench=config.bench.name,
        identity=run.fact("identity"),
        device=config.device.id,
        vth_v=config.vth_v,
        made_v=curve.made_v if curve.made_v != config.vth_v else None,
        timing_key=config.timing.key(),
        curves=(curve.to_dict(),),
        pulses_spent=curve.pulses_spent,
        device_pulses=device_pulses,
        temperature_c=temperature_c,
        run_file=str(run.path.absolute()),
    )
    path = run.path.with_name(f"{run.path.stem}-recalibrated-{number}.json")
    fact = {"record": record.id, "file": str(path.absolute()), "curve": curve.to_dict(), "after_shot": run.last_shot()}
    run.add_fact(f"recalibration/{number}", fact)
    save_record(record, path)
    run.add_event("recalibrated", f"{record.id} in {path}")
    print(f"calibrated again: {record.id} in {str(path)!r}", file=sys.stderr)


def again(
    run: RunFile,
    config: RunConfig,
    weights: Weights,
    reader: Reader,
    wanted: set[tuple[int, int]],
    *,
    strict: bool = True,
) -> Iterator[tuple[DigitResult, dict[str, Floats]]]:
    """The recorded digits once more (noise, index), with the run file as the bench and shots as `reader` reads them."""
    results = {(result.noise, result.index): result for result in results_of(run)}
    every = ((noise, index) for noise in config.noise for index in config.images)
    passed = {digit: _pulses(results.get(digit)) for digit in every if digit not in wanted}
    bench = RecordingBench(None, run, reader=reader) if config.physical != "none" else None
    course = Course(
        keep=True,
        odometer=Odometer(run.fact("odometer")),
        done=passed,
        judge=Judge(None) if strict else None,
        recorded=recalibrations_of(run, config),
    )
    return recognise_digits(config, weights, bench, course)


def moved(run: RunFile, config: RunConfig, bench: str | None) -> RunConfig:
    """The settings of a run with its parts at the addresses that a bench file says now: this one, or its own.

    Which parts answer there is told by their identity, see `bench_changes`. Raises InputError for one that is named.
    """
    source = bench or run.fact("sources")["bench"]
    try:
        now = load_bench(source)
    except InputError:
        if bench:
            raise
        return config  # `changes` says so
    return config.model_copy(update={"bench": config.bench.at_addresses_of(now)})


def changes(run: RunFile, config: RunConfig, bench: str | None = None) -> list[str]:
    """What is different now from when the run began: its bench file (or `bench`), device file, weights; a line each."""
    sources = run.fact("sources") | ({"bench": bench} if bench else {})
    found: list[str] = []
    for what, load, was in (
        ("bench", load_bench, config.bench),
        ("device", load_device, config.device),
    ):
        if what == "bench" and is_shipped(sources[what]):
            continue  # nobody can put back what another version ships; the frozen settings hold, the version is noted
        try:
            found += frozen.differences(what, was.model_dump(), load(sources[what]).model_dump())
        except InputError as error:
            found.append(str(error))
    try:
        now = load_weights(config.weights_path).digest
    except InputError as error:
        found.append(str(error))
    else:
        if now != config.weights_digest:
            found.append(f"weights: {config.weights_digest[:12]}… → {now[:12]}…")
    return found


def bench_changes(run: RunFile, config: RunConfig, bench: Bench) -> list[str]:
    """Parts of the open bench that are not those the run began with, and what is wrong with its calibration by now."""
    found = frozen.changed_parts(run, bench.identity)
    found += behind(run, config.bench, config.device)
    again = _recalibrations(run)
    name = again[-1]["file"] if again else run.fact("sources").get("calibration") or config.bench.calibration
    if not config.calibration_id or not name:
        return found
    try:
        record = load_record(Path(name))
        wanted = calibration_in_force(run, config)
        if record.id != wanted:
            return [*found, f"calibration {name}: {wanted} → {record.id}"]
        passport = passport_of(config)
        check_valid(
            record,
            bench=config.bench.name,
            identity=bench.identity,
            device=config.device.id,
            device_pulses=passport.pulses if config.bench.kind == "pi" else None,
            drifted=() if config.drift == "recalibrate" else passport.drifted,
        )
    except (InputError, CalibrationError) as error:
        found.append(str(error))
    return found


def device_history(config: RunConfig) -> tuple[int, int]:
    """Pulses and resets that the device has had."""
    passport = passport_of(config)
    return passport.pulses, passport.resets


def passport_of(config: RunConfig) -> Passport:
    """Of the device on a real bench; a simulated one is new every time."""
    if config.bench.kind != "pi":
        return Passport(device=config.device.id)
    return load_passport(config.device.id, passport_folder(config.bench.passports))
