"""`hil mock serve` from outside: what it refuses, what it waits for, how it ends, and what it tells of misuse."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pigpio
import pytest

from calibration.record import check_valid, load_record
from drivers.benchfile import BenchFile, load_bench
from drivers.device import load_device
from drivers.errors import BenchError
from drivers.mock.board import Board
from drivers.mock.clock import TwinClock
from drivers.mock.pico.server import micropython
from drivers.witness import Witness
from hil.cli import main
from hil.commands.mock import _start, add_arguments
from hil.commands.served import calibrate, calibration_path

INTERPRETER = micropython() or sys.executable
PARTS = ("board", "pigpiod", "scope", "pico")
pytestmark = pytest.mark.wire
ENDS_WITHIN_S = 2.0


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], BenchFile]]:
    server = subprocess.Popen(
        [sys.executable, "-m", "hil.cli", "mock", "serve", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert server.stdout is not None
    try:
        for line in server.stdout:
            if line.startswith("wrote"):
                break
        else:
            raise AssertionError(server.communicate()[1])
        yield server, load_bench(str(folder / "mock-wire.toml"))
    finally:
        server.kill()
        server.communicate()


def test_what_is_served_is_complete_tells_misuse_and_ends_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with served(tmp_path, "--fault", "stuck_axon_low") as (server, file):
        record = load_record(Path(file.calibration))  # in spite of the fault
        assert record.curve(file.slot.key(), file.vth_v, 32).mean_spikes[-1] > 4
        assert main(["mock", "status"]) == 0
        witness = Witness(file.witness)
        witness.check()
        pi = pigpio.pi(file.pigpio.host, file.pigpio.port)
        assert pi.write(17, 1) == 0  # dendrite, while no address is closed
        assert pi.write(17, 0) == 0
        assert pi.set_PWM_dutycycle(25, 128) == 0
        pi.stop()
        assert server.stderr is not None
        assert "a pulse while no select address is closed" in server.stderr.readline()
        assert "PWM on GPIO 25" in server.stderr.readline()
        with pytest.raises(BenchError, match="misused 2 times in this shot, first: a pulse while"):
            witness.check()
        witness.check()
        capsys.readouterr()
        assert main(["mock", "status", "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["misuse"] == 2
        server.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert server.wait(20) == 0
        took_s = time.monotonic() - began
        assert "2 misuses" in server.stderr.read()
    assert took_s < ENDS_WITHIN_S or os.getloadavg()[0] > 2 * (os.cpu_count() or 1)


@pytest.mark.parametrize(("source", "reader"), [("pigpio", "pico"), ("pico", "both")])
def test_it_waits_for_what_it_has_started_and_calibrates_meanwhile(
    source: str, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Pico's program does not begin before it is let: no bench file until then, and a valid one afterwards."""
    held = tmp_path / "held"
    os.mkfifo(held)
    slow = tmp_path / Path(INTERPRETER).name
    slow.write_text(f'#!/bin/sh\nread go < "{held}"\nexec "{INTERPRETER}" "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setattr("drivers.mock.pico.server.micropython", lambda: str(slow))
    out = tmp_path / "b.toml"
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["serve", "--out", str(out), "--source", source, "--reader", reader])
    device = load_device(args.device)
    clock = TwinClock(paced=True)
    board = Board(device, load_bench("mock").board, clock=clock)
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        stack.callback(clock.close)
        starting = pool.submit(_start, args, board, device, {part: [] for part in PARTS}, stack)
        while not calibration_path(out).exists():
            assert not starting.done(), starting.exception()
            time.sleep(0.01)
        assert not out.exists()
        with held.open("w") as gate:
            gate.write("go\n")
        starting.result()
        capsys.readouterr()
        assert main(["doctor", "--bench", str(out), "--json"]) == 0
        checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
        assert load_record(calibration_path(out)).id in checks["calibration"]["detail"]


def test_busy_ports_and_bad_places_are_refused_before_anything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        for option in ("--port-pigpiod", "--port-scope", "--portmapper"):
            assert main(["mock", "serve", "--out", str(tmp_path / "b.toml"), option, str(port)]) == 2
            assert f"{option} {port}: Address already in use" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["mock", "serve", "--out", str(tmp_path / "file" / "b.toml")]) == 2
    assert "--out" in capsys.readouterr().err
    assert main(["mock", "serve", "--port-pigpiod", "99999"]) == 2
    assert "--port-pigpiod 99999" in capsys.readouterr().err
    assert main(["mock", "serve", "--fault", "sulks"]) == 2
    capsys.readouterr()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--source", "pico", "--reader", "gpio"], "--reader gpio: pigpiod samples that GPIO"),
        (["--source", "pico", "--reader", "scope+gpio"], "--reader scope+gpio: pigpiod samples that GPIO"),
        (["--reader", "both", "--audit-every", "0"], "--audit-every 0: at least 1"),
        (["--reader", "gpio", "--audit-every", "5"], "--audit-every 5 has no effect with --reader gpio"),
        (["--port-scope", "99999"], "--port-scope 99999: allowed 1…65535"),
        (["--port-scope", "-1"], "--port-scope -1: allowed 1…65535"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    argv: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mock", "serve", "--out", str(tmp_path / "b.toml"), *argv]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_bench_that_is_not_served_has_no_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mock", "status", "--bench", "mock"]) == 2
    assert "names no witness" in capsys.readouterr().err


def test_doctor_looks_at_the_calibration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mock = (Path(__file__).parents[3] / "drivers/benches/mock.toml").read_text()
    (tmp_path / "c.json").write_text("{}")
    (tmp_path / "b.toml").write_text('calibration = "c.json"\n' + mock)
    assert main(["doctor", "--bench", str(tmp_path / "b.toml"), "--json"]) == 1
    checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert not checks["calibration"]["ok"]
    assert "c.json: not a calibration record" in checks["calibration"]["detail"]
    assert "hil calibrate" in checks["calibration"]["advice"]


def test_the_served_calibration_is_not_older_than_the_served_device() -> None:
    """Its passport is new: a record that claims more pulses than it knows of would be refused in the first run."""
    file = load_bench("mock")
    record = calibrate(file, load_device("ideal"), 0)
    check_valid(record, device="ideal", bench=file.name, identity={}, device_pulses=0, drifted=())


@pytest.mark.parametrize("rate", ["0", "0.001", "1000"])
def test_a_rate_of_the_oscilloscope_that_none_has_is_refused(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mock", "serve", "--scope-rate", rate]) == 2
    assert f"--scope-rate {float(rate):g}: allowed 0.01…100 MB/s" in capsys.readouterr().err
