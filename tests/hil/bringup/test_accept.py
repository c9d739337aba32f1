"""`hil accept` on the simulated bench: every step that needs no hand, one report, and no claim beyond what was seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drivers.benchfile import load_bench
from drivers.errors import HilError
from drivers.mock.pico import PicoServer
from drivers.pico.proof import Found, falls_silent
from hil.bringup.accept import DEAD_IN_PAYLOAD, SILENT_HOST, Acceptance, Done
from hil.bringup.verdict import CLAIMS, supported, write_report
from hil.cli import main
from tests.drivers.pico.test_device import bench_file, new_board


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
    assert states.pop(SILENT_HOST) == states.pop(DEAD_IN_PAYLOAD) == "not done"
    assert set(states.values()) == {"ok"}
    assert {name for _, needs in CLAIMS for name in needs} <= {step["name"] for step in found["steps"]}
    assert all(claim.startswith("of the simulated bench: ") for claim in found["claims"])
    assert sum(found["claims"].values()) == len(CLAIMS) - 3
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


def test_a_pico_has_to_park_when_its_host_is_silent(tmp_path: Path) -> None:
    with PicoServer(new_board()) as server:
        acceptance = Acceptance("pico", bench_file(server.port, heartbeat_timeout_s=1.0), "0:1", tmp_path)
        assert acceptance._parks(SILENT_HOST, falls_silent).state == "ok"
        for wrong in (Found("none", parked=False), Found("silence", parked=False), Found("boot", parked=True)):
            assert acceptance._parks(SILENT_HOST, lambda *_, found=wrong: found).state == "failed"


def test_the_report_escapes_what_benches_are_called(tmp_path: Path) -> None:
    file = load_bench("mock").model_copy(update={"name": "<b>"})
    page = write_report([Done("digits", "failed", "<i>")], file, "", tmp_path).read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "<i>" not in page


def test_a_command_that_cannot_be_planned_says_why(tmp_path: Path) -> None:
    with pytest.raises(HilError, match="outside the test set"):
        Acceptance("mock", load_bench("mock"), "9:4", tmp_path).pulses()
