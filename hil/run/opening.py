"""Open the bench of a run with its V_th set and its transfer curve known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from calibration.plausible import check_curve
from calibration.record import CalibrationRecord, check_made, check_valid, load_record
from calibration.transfer import measure_transfer
from drivers.errors import CalibrationError
from hil.run.session import passport_of
from hil.store.history import known_passport

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from drivers.bench import Bench
    from hil.run.config import RunConfig


def open_measured(
    config: RunConfig,
    stack: ExitStack,
    calibration: str | None = None,
    show: Callable[[int, int], None] | None = None,
) -> tuple[Bench | None, RunConfig]:
    """Open the bench, set V_th and complete the configuration with its transfer curve.

    The curve comes from the calibration record named here or in the bench file. Without one the in-process mock
    measures its own on the spot, by playing frames, unless the configuration has it (`show` is told how many pulses
    were played, of how many); any other bench is refused. Without a physical layer there is no bench.
    Raises InputError, CalibrationError, BenchError.
    """
    parts = config.parts
    if not parts:
        return None, config
    from drivers.opening import make_bench

    most = max(config.full_scale_pulses[part.layer.name] for part in parts)
    record = _record(config, calibration)
    known_passport(config.bench, config.device)
    bench = stack.enter_context(
        make_bench(config.bench, config.device, seed=config.seed, fidelity=config.fidelity, traces=config.traces)
    )
    if record is None:
        bench.set_threshold(config.vth_v)
        if config.curve is not None:
            return bench, config
        addresses = config.bench.board.addresses
        curve = measure_transfer(bench, config.timing, config.vth_v, full_scale=most, addresses=addresses, show=show)
        return bench, config.model_copy(update={"curve": curve.to_dict()})
    passport = passport_of(config)
    check_valid(
        record,
        bench=config.bench.name,
        identity=bench.identity,
        device=config.device.id,
        device_pulses=passport.pulses if config.bench.kind == "pi" else None,
        drifted=passport.drifted,
    )
    curve = record.curve(config.timing.key(), config.vth_v, most)
    check_curve(curve)
    check_made(curve, bench.set_threshold(config.vth_v))
    return bench, config.model_copy(update={"curve": curve.to_dict(), "calibration_id": record.id})


def _record(config: RunConfig, calibration: str | None) -> CalibrationRecord | None:
    name = calibration or config.bench.calibration
    if name:
        return load_record(Path(name))
    if config.bench.kind == "mock":
        return None
    raise CalibrationError(
        f"bench {config.bench.name!r} has no calibration: run hil calibrate transfer --bench FILE, then give its file "
        "with --calibration or as `calibration` in the bench file"
    )
