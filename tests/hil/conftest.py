from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hil.network.fullscale import with_full_scales
from hil.network.mnist import load_test
from hil.network.weights import SHAPES, Weights, load_weights, save_weights


@pytest.fixture(scope="session")
def tensors() -> dict[str, np.ndarray]:
    """A small valid network: mostly tiny non-negative weights."""
    rng = np.random.default_rng(0)
    made: dict[str, np.ndarray] = {}
    for name, shape in SHAPES.items():
        inputs = int(np.prod(shape[1:]))
        weight = rng.exponential(1 / inputs, shape) * (rng.random(shape) < max(4 / inputs, 0.02))
        made[f"{name}.weight"] = weight.astype(np.float32)
        made[f"{name}.bias"] = -0.01 * rng.random(shape[0]).astype(np.float32)
        made[f"{name}.full_scale"] = np.full(shape[0], 2.0, dtype=np.float32)
    return made


@pytest.fixture(scope="session")
def weights_file(tensors: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(tensors, file, metadata={"command": "test"})
    return file


@pytest.fixture(scope="session")
def differential_file(tensors: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network with weights of either sign."""
    rng = np.random.default_rng(1)
    made = {
        name: np.repeat(tensor, 2) if "full_scale" in name else tensor * rng.choice([-1, 1], tensor.shape)
        for name, tensor in tensors.items()
    }
    file = tmp_path_factory.mktemp("weights") / "differential.safetensors"
    save_file({name: t.astype(np.float32) for name, t in made.items()}, file, metadata={"sign": "differential"})
    layers = with_full_scales(load_weights(file).layers, load_test()[0][:20])
    save_weights(file, layers, {"sign": "differential"}, np.float32)
    return file


@pytest.fixture(scope="session")
def shipped() -> Weights:
    return load_weights()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands write under runs/ and calibrations/ where they are called: not here."""
    monkeypatch.chdir(tmp_path)
