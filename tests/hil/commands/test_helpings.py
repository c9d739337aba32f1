"""`hil helpings`, and what `--helpings` asks for."""

from __future__ import annotations

import json

import pytest

import hil.commands.helpings
from hil.cli import main
from hil.network.mnist import load_test


def test_a_rule_is_found_on_digits_held_out_and_can_be_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = load_test()
    monkeypatch.setattr(hil.commands.helpings, "load_training", lambda *_: (images[:300], labels[:300]))
    how = ["--helpings", "8,24", "--play", "pooled", "--physical", "conv1:0-7"]
    assert main(["helpings", *how, "--digits", "200", "--error", "0.03", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["digits"] == 200
    assert 0 < found["sure"] <= 1
    assert found["error"] <= 0.03
    assert found["accuracy"] > 0.9
    assert abs(found["accuracy"] - found["accuracy_with_all"]) <= 0.03
    results = {}
    for sure in (found["sure"], 1.0):
        assert main(["evaluate", "--digits", "30", *how, "--sure", str(sure), "--json", "--workers", "1"]) == 0
        results[sure] = json.loads(capsys.readouterr().out)["levels"][0]["pulses_per_digit"]
    assert results[found["sure"]] < results[1.0] / 1.5


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["helpings"], "give --helpings A,B,…"),
        (["helpings", "--helpings", "8,24", "--sure", "0.9"], "leave --sure out"),
        (["helpings", "--helpings", "8,24", "--digits", "5001"], "--digits 5001: allowed 1…5000"),
        (["helpings", "--helpings", "8,24", "--error", "0"], "--error 0: give a share above 0 and below 1"),
        (["run", "--helpings", "8,24"], "--helpings need --sure P"),
        (["run", "--helpings", "8", "--sure", "1"], "--helpings '8': give 2…8 numbers"),
        (["run", "--sure", "1"], "--sure is for --helpings"),
        (["run", "--helpings", "8,24", "--sure", "0"], "--helpings need --sure P"),
        (["run", "--helpings", "8,24", "--sure", "1", "--physical", "conv1,fc1"], "one layer must be on the neuron"),
        (["run", "--helpings", "8,24", "--sure", "1", "--full-scale", "conv1=3"], "leave conv1 out of --full-scale"),
    ],
)
def test_wrong_usage_is_one_line(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
