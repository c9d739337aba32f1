"""`hil accept` on the simulated bench: every step that needs no hand, one report, and no claim beyond what was seen."""

from __future__ import annotations

import itertools
import json
import threading
from pathlib import Path

import pytest

from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import HilError
from drivers.mock.pico import WIRING, PicoServer
from drivers.mock.pico.soldered import Pins
from drivers.pico.paces import unlike
from drivers.pico.proof import Found
from drivers.settings import PicoSettings
from drivers.wear.passport import load_passport, passport_folder
from hil.bringup import picoproof
from hil.bringup.accept import USUAL_S, Acceptance, left_s
from hil.bringup.done import Done
from hil.bringup.verdict import CLAIMS, supported, write_report
from hil.cli import main
from tests.drivers.pico.test_device import bench_file, new_board

PICO = (
    picoproof.REQUESTS,
    picoproof.IN_A_ROW,
    picoproof.GAPS,
    picoproof.INTERRUPTED,
    picoproof.SILENT_HOST,
    picoproof.DEAD_IN_PAYLOAD,
)


def test_the_time_left_is_the_usual_one_or_as_much_longer_as_it_has_been_so_far() -> None:
    steps = list(USUAL_S)
    assert left_s(steps[0], 0.0) == sum(USUAL_S.values())
    usual = USUAL_S[steps[0]] + USUAL_S[steps[1]]
    assert left_s(steps[2], usual / 2) == sum(USUAL_S.values()) - usual
    assert left_s(steps[2], 3 * usual) == 3 * (sum(USUAL_S.values()) - usual)
    assert left_s(steps[-1], 0.0) == USUAL_S[steps[-1]]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_simulated_bench_is_accepted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["accept", "--yes", "--digits", "0:4", "--out", "a", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    states = {step["name"]: step["state"] for step in found["steps"]}
    assert "dendrite pulses" in err.splitlines()[0]
    assert states.pop("emergency stop") == "not done"
    assert states.pop("at rest after a kill") == "not done"
    assert {states.pop(name) for name in PICO} == {"not done"}
    assert set(states.values()) == {"ok"}
    assert {name for _, needs in CLAIMS for name in needs} <= {step["name"] for step in found["steps"]}
    assert all(claim.startswith("of the simulated bench: ") for claim in found["claims"])
    assert sum(found["claims"].values()) == len(CLAIMS) - 6
    page = Path(found["report"]).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") >= 3
    assert "no claim about hardware" in page


def test_it_asks_before_it_spends(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accept", "--digits", "0:1", "--out", "a"]) == 2
    said = capsys.readouterr().err
    assert "It takes about" in said
    assert "say --yes if you mean it" in said
    assert main(["accept", "--yes", "--out", "/"]) == 2


def test_a_bench_that_fails_its_doctor_is_not_played_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"checks": [{"name": "pins", "ok": False, "detail": "dendrite on GPIO 3"}]}
    monkeypatch.setattr(Acceptance, "_hil", lambda *_, **__: wrong)
    steps = list(Acceptance("mock", load_bench("mock"), "0:1", tmp_path).steps())
    assert [(step.state, step.detail) for step in steps] == [("failed", "pins: dendrite on GPIO 3")]
    assert not any(good for _, good in supported(steps, load_bench("mock")))


def test_a_stop_needs_a_hand(tmp_path: Path) -> None:
    file = load_bench("mock")
    wired = file.model_copy(update={"panel": "anything"})
    assert Acceptance("mock", file, "0:1", tmp_path)._stopped().detail == "no stop is wired"
    assert Acceptance("mock", wired, "0:1", tmp_path)._stopped().detail == "it needs a hand at the bench and a terminal"
    nobody = Acceptance("mock", wired, "0:1", tmp_path, ask=lambda _: False)
    assert nobody._stopped().state == "not done"


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """How soon a shot ends is this machine's on the twin."""
    monkeypatch.setattr("drivers.pico.underway.LATE_S", 30.0)
    monkeypatch.setattr("drivers.pico.proof.ANSWERS_S", 60.0)
    monkeypatch.setattr("drivers.pico.proof.RESET_S", 3.0)  # the twin's watchdog waits two, and it begins at once


def test_a_stop_that_a_hand_presses_is_seen(tmp_path: Path) -> None:
    with PicoServer(new_board(), pins=Pins(WIRING, estop=22)) as server:
        server.wait_until_up()

        def press(question: str) -> bool:
            assert "press the stop within" in question
            threading.Timer(0.5, lambda: setattr(server.pins, "estop_high", False)).start()
            return True

        file = bench_file(server.port, estop_pin=22)
        step = Acceptance("pico", file, "0:1", tmp_path, ask=press)._stopped()
    assert step.state == "ok", step.detail


@pytest.mark.usefixtures("unhurried")
def test_a_pico_is_put_through_its_steps() -> None:
    """All of them, on the twin, in the order in which they come: what plays first, then what leaves it latched."""
    with PicoServer(new_board()) as server:
        file = bench_file(server.port, heartbeat_timeout_s=20.0)
        steps = list(itertools.islice(picoproof.pico_steps(file, None), 4))
        had = load_passport(load_device(file.device).id, passport_folder(file.passports))
    assert [(step.name, step.state) for step in steps] == list(
        zip(PICO, ("ok", "ok", "not done", "ok"), strict=False)
    ), steps
    assert "simulated" in steps[2].detail
    assert steps[1].figures["strays"] == 0
    assert steps[1].figures["spikes"] == [sum(unlike(picoproof.SLOTS, picoproof.MOST_PULSES))] * 3
    assert had.pulses == picoproof.pulses_of(file)  # all that it may have had is in its account


@pytest.mark.usefixtures("unhurried")
def test_a_pico_parks_by_itself() -> None:
    with PicoServer(new_board()) as server:
        file = bench_file(server.port, heartbeat_timeout_s=1.0)
        assert picoproof.silent_host(file).state == "ok"


@pytest.mark.usefixtures("unhurried")
def test_a_pico_that_falls_short_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (Found("none", parked=False), Found("silence", parked=False), Found("boot", parked=True)):
        assert picoproof._parked(picoproof.SILENT_HOST, wrong).state == "failed"
    monkeypatch.setattr(picoproof, "REPLY_S", 0.0)
    with PicoServer(new_board()) as server:
        file = bench_file(server.port, heartbeat_timeout_s=20.0)
        assert picoproof._requests(file).state == "failed"
    played = {"machine": "Raspberry_Pi_Pico_with_RP2040", "gaps_s": [0.0, 0.0006], "share": 0.99}
    slow, sparse = played | {"gaps_s": [0.0, 0.006]}, played | {"share": 0.96}
    for figures, state in ((played, "ok"), (slow, "failed"), (sparse, "failed")):
        assert picoproof._gaps(Done(picoproof.IN_A_ROW, "ok", "", figures)).state == state


def test_a_bench_is_asked_nothing_that_it_has_not() -> None:
    listening = load_bench("mock").model_copy(update={"kind": "pi", "pico": PicoSettings(), "pulse_source": "pigpio"})
    said = {step.name: step.detail for step in picoproof.pico_steps(load_bench("mock"), None)}
    assert said == dict.fromkeys(PICO, "no Pico on this bench")
    assert picoproof._lacks(picoproof.INTERRUPTED, listening) == "this Pico plays nothing"
    assert picoproof.pulses_of(listening) == 0


def test_the_report_escapes_what_benches_are_called(tmp_path: Path) -> None:
    file = load_bench("mock").model_copy(update={"name": "<b>"})
    page = write_report([Done("digits", "failed", "<i>")], file, "", tmp_path).read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "<i>" not in page


def test_a_command_that_cannot_be_planned_says_why(tmp_path: Path) -> None:
    with pytest.raises(HilError, match="outside the test set"):
        Acceptance("mock", load_bench("mock"), "9:4", tmp_path).pulses()
