"""`hil train` as its user calls it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import hil.network.mnist
from hil.cli import main
from hil.network.mnist import load_test
from hil.network.weights import Weights, load_weights
from hil.training.handover import Finished


@pytest.fixture
def some_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training digits at hand, so that nothing is downloaded (these are not trained on to recognise anything)."""
    images, labels = load_test()
    monkeypatch.setattr(hil.network.mnist, "load_training", lambda *_: (images[:1_500], labels[:1_500]))


@pytest.mark.slow
def test_a_short_training_writes_weights_that_load(
    some_digits: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the extra 'train', is not installed")
    import hil.training.epochs
    import hil.training.handover

    torch.set_num_threads(1)
    monkeypatch.setattr(hil.training.handover, "FULL_SCALE_IMAGES", 50)
    monkeypatch.setattr(hil.training.epochs, "SETTLING_BATCHES", 1)
    out = tmp_path / "new folder" / "w.safetensors"
    argv = ["--limit", "1000", "--epochs", "1,0,1", "--seed", "5", "--teacher", "positive", "--playing", "pooled:8=1"]
    assert main(["train", *argv, "--out", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    weights = load_weights(out)
    assert captured.err.count("epoch 0: loss") == 2
    assert [p.name for p in out.parent.iterdir()] == ["w.safetensors"]
    assert result["file"] == str(out)
    held = tuple(part[800:1_000] for part in load_test())
    assert result["validation"] == hil.training.handover.accuracy_of(weights.layers, *held)  # what the file holds
    assert 10_000 < result["conv1_pulses_a_digit"] < 25_088 * 32
    assert weights.metadata["command"] == (
        "hil train --seed 5 --teacher positive --playing pooled:8=1 --epochs 1,0,1 --limit 1000"
    )
    assert weights.metadata["sources"].startswith("teacher ")
    assert weights.metadata["sign"] == weights.sign == "positive"
    assert weights.metadata["threads"] == "1"
    assert weights.metadata["data"].startswith("MNIST training digits; the last 200 held out")
    with safe_open(out, framework="numpy") as file:
        kinds = {name: file.get_tensor(name).dtype for name in ("conv2.weight", "fc2.bias", "fc1.full_scale")}
    assert kinds == {"conv2.weight": result["dtype"], "fc2.bias": result["dtype"], "fc1.full_scale": np.float32}


def test_a_finished_training_says_what_came_of_it(
    some_digits: None,
    shipped: Weights,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch", reason="PyTorch, the extra 'train', is not installed")
    import hil.commands.train

    monkeypatch.setattr(hil.commands.train, "_train", lambda *_: None)
    finished = Finished(shipped.layers, np.float16, 0.9, 0.8, 12_345.6)
    monkeypatch.setattr(hil.commands.train, "_write", lambda *_: finished)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--out", "w.safetensors"]) == 0
    said = capsys.readouterr().out
    assert "w.safetensors (float16): validation 90.00%, with 40 % of the pixels zeroed 80.00%; 12,346 pulses" in said
    assert "hil evaluate --weights w.safetensors" in said


def test_an_interrupted_training_says_how_to_go_on(
    some_digits: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="PyTorch, the extra 'train', is not installed")
    from hil.training.epochs import Trainer

    def stop(trainer: Trainer, *_args: object) -> None:
        assert trainer.checkpoint is not None
        trainer.checkpoint.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "train", stop)
    assert main(["train", "--out", str(tmp_path / "w.safetensors")]) == 130
    said = " ".join(capsys.readouterr().err.split())
    assert "w.safetensors.checkpoint is kept: the same command goes on from there" in said
    assert said.endswith("hil: interrupted")


def test_training_without_pytorch_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("hil.training.epochs", "hil.training.nonnegative", "hil.training.augmentation"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert main(["train"]) == 2
    assert re.fullmatch(r"hil: training needs PyTorch: \S+ -m pip install -e \S+\[train\]'?\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--epochs", "1,2"], "--epochs '1,2': give 3 whole numbers"),
        (["--epochs", "0,0,0"], "--epochs '0,0,0': give 3 whole numbers, not all 0"),
        (["--epochs", "1,-1,2"], "--epochs '1,-1,2': give 3 whole numbers"),
        (["--start", "positive", "--epochs", "1,2"], "--epochs '1,2': give 1 whole numbers, not all 0, for example 10"),
        (["--start", "positive", "--sign", "differential"], "its weights are positive; give --sign positive"),
        (["--teacher", "nobody"], "weights file nobody: No such file"),
        (["--calibration", "none.json"], "none.json"),
        (["--playing", "pooled:8"], "--playing 'pooled:8': 'pooled:8' needs a share of 1…128"),
        (["--playing", "pooled:0=1"], "give all:N, pooled:N or none, with N in 1…128 pulses"),
        (["--limit", "-5"], "--limit -5: at least 1000 digits"),
        (["--data", "nowhere"], "nowhere/train-images-idx3-ubyte.gz is missing; give --data"),
        (["--out", "."], "--out .: is a folder"),
        (["--out", "file/w.safetensors"], "--out file/w.safetensors: cannot write there"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="PyTorch, the extra 'train', is not installed")
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert main(["train", *argv]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
