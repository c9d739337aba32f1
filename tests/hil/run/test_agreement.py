"""After a run in which slots were played again, everything that tells what the device got tells the same."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from calibration.transfer import measure_transfer
from drivers.benchfile import BenchFile, load_bench
from drivers.device import load_device
from drivers.mock.bench import MockBench
from drivers.parts.assembly import Parts
from drivers.pi import PiBench
from drivers.signals import Capture, Frame
from drivers.wear.passport import load_passport, passport_folder
from hil.cli import main
from hil.network.source import load_digits
from hil.network.weights import load_weights
from hil.report.page import gather
from hil.run.config import RunConfig
from hil.run.loop import Odometer
from hil.run.plan import make_plan
from hil.run.session import go_on, results_of
from hil.store.runfile import RunFile
from tests.hil.rig import rows

HAD = 1_000  # pulses before the run
LATE = 0.004  # share of the slots


class LateParts:
    """Source, reader and threshold over the mock bench, some of whose slots are late: decided by attempt and slot."""

    tick_s = 1e-6
    most_slots = most_pulses = None
    gapless = False
    identity: dict[str, str] = {}  # noqa: RUF012 (as the protocol has it)
    spent_s: dict[str, float] = {}  # noqa: RUF012

    def __init__(self, inner: MockBench) -> None:
        self.inner = inner
        self.left: list[Frame] = []
        self._loaded: list[Frame] = []

    def prepare(self) -> None: ...
    def close(self) -> None: ...
    def stop(self) -> None: ...
    def wait(self) -> None: ...
    def arm(self, frame: Frame) -> None: ...
    def park(self) -> None: ...

    def set_threshold(self, volts: float) -> float:
        return self.inner.set_threshold(volts)

    def load(self, frame: Frame) -> None:
        self._loaded.append(frame)

    def start(self) -> None:
        self.left.append(self._loaded.pop(0))

    def read(self) -> Capture:
        (capture,) = self.inner.play([self.left[-1]])
        frame = capture.frame
        seed = [frame.key.image, frame.key.attempt, frame.first_slot]
        draws = np.random.default_rng(seed).random(len(frame)) * (
            0.01 if frame.key.attempt else 1
        )  # most are late again
        late = (draws < LATE) & frame.played & (frame.key.attempt < 2)
        return Capture(frame, capture.spikes, capture.slot_s, ~late, bench_s=capture.bench_s)


@pytest.fixture
def config() -> RunConfig:
    file, device = load_bench("mock"), load_device("nominal")
    with MockBench(file, device) as bench:
        curve = measure_transfer(bench, file.slot, 0.7, full_scale=84)
    pi = {"pulse_source": "pico", "axon_reader": "pico", "pico": {}, "threshold": {"source": "pico"}}
    lines = {"dendrite": 2, "reset": 3, "sync": 4, "select": [5, 6, 7, 8]}
    return RunConfig(
        command="run",
        digits="0:12",
        physical="conv1:0-0",
        vth_v=0.7,
        timing=file.slot,
        bench=BenchFile.model_validate({**file.model_dump(exclude={"kind"}), "kind": "pi", "wiring": lines, **pi}),
        device=device,
        weights_digest=load_weights().digest,
        curve=curve.to_dict(),
    )


def record(config: RunConfig, path: Path, passports: Path, *, stops: int = 0) -> tuple[list[Frame], int]:
    """The shots that left, and what the odometer says in the end; it is ended after every so many shots (`stops`)."""
    passports.mkdir()
    (passports / "nominal.json").write_text(json.dumps({"device": "nominal", "pulses": HAD, "resets": 7}))
    file = config.bench.model_copy(update={"passports": str(passports)})
    config = config.model_copy(update={"bench": file})
    facts = {"config": config.model_dump_json(), "identity": {}, "odometer": HAD, "tick_s": 1e-6, "sources": {}}
    RunFile.create(path, facts | {"command": "run", "device": "nominal", "begun": "now"}).close()
    left: list[Frame] = []
    made: list[Odometer] = []
    asked = count(1)

    def odometer(pulses: int) -> Odometer:
        made.append(Odometer(pulses))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hil.run.session.Odometer", odometer)
        going_on = True
        while going_on:
            parts = LateParts(MockBench(load_bench("mock"), config.device))
            with (
                RunFile.open(path, write=True) as run,
                PiBench(file, config.device, parts=Parts(parts, parts, parts)) as bench,
            ):
                try:
                    list(
                        go_on(
                            run, config, load_weights(), bench, stopping=lambda: stops > 0 and next(asked) % stops == 0
                        )
                    )
                    going_on = False
                except KeyboardInterrupt:
                    pass
            left += parts.left
    return left, made[-1].pulses


def test_odometer_result_report_plan_and_passport_agree(
    config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left, odometer = record(config, tmp_path / "run.sqlite", tmp_path / "passports")
    pulses, resets = sum(shot.total_pulses for shot in left), sum(int(shot.played.sum()) for shot in left)
    passport = load_passport("nominal", passport_folder(str(tmp_path / "passports")))
    plan = make_plan(config, load_weights(), load_digits(config.source)[0])
    with RunFile.open(tmp_path / "run.sqlite") as run:
        results, totals = results_of(run), run.totals()
        page = gather(run, load_weights(), "run")["overview"]["totals"]
    again = sum(result.retaken_pulses for result in results)
    slots = sum(result.retaken_slots for result in results)
    assert again > 0
    assert main(["runs", "run.sqlite", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["runs"]
    told = {
        "passport": passport.pulses - HAD,
        "odometer": odometer - HAD,
        "results": sum(result.pulses for result in results),
        "run file": totals["pulses"],
        "list of runs": listed["pulses"],
        "report": page["pulses"],
        "plan, and what was played again": plan.pulses + again,
    }
    assert told == dict.fromkeys(told, pulses)
    worn = {
        "passport": passport.resets - 7,
        "results": sum(result.resets for result in results),
        "run file": totals["resets"],
        "plan, and what was played again": plan.resets + slots,
    }
    assert worn == dict.fromkeys(worn, resets)


def test_a_run_that_is_stopped_again_and_again_carries_the_same_odometer(config: RunConfig, tmp_path: Path) -> None:
    _, whole = record(config, tmp_path / "whole.sqlite", tmp_path / "one")
    _, stopped = record(config, tmp_path / "stopped.sqlite", tmp_path / "two", stops=7)
    assert stopped == whole
    assert rows(tmp_path / "stopped.sqlite") == rows(tmp_path / "whole.sqlite")


def test_a_neuron_that_drifts_is_calibrated_again_before_the_same_digit_in_a_run_that_is_stopped(
    config: RunConfig, tmp_path: Path
) -> None:
    """What is played again is judged late: by then more digits have been asked for than a bench takes ahead."""
    model = {**(config.device.model or {}), "change_at_pulses": HAD + 3_000, "change_factor": 0.85}
    changing = config.device.model_copy(update={"model": model})
    config = config.model_copy(update={"digits": "0:20", "device": changing, "drift": "recalibrate"})
    record(config, tmp_path / "whole.sqlite", tmp_path / "one")
    record(config, tmp_path / "stopped.sqlite", tmp_path / "two", stops=8)
    told = []
    for name in ("whole", "stopped"):
        with RunFile.open(tmp_path / f"{name}.sqlite") as run:
            told.append([(result.index, result.recalibrations) for result in results_of(run)])
    assert told[0][-1][1] > 0
    assert told[1] == told[0]
    assert rows(tmp_path / "stopped.sqlite") == rows(tmp_path / "whole.sqlite")
