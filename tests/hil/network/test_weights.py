from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from drivers.errors import InputError
from hil.network.weights import Weights, load_weights, save_weights


def test_the_shipped_network_is_non_negative_and_says_how_it_was_made(shipped: Weights) -> None:
    assert [layer.name for layer in shipped.layers] == ["conv1", "conv2", "fc1", "fc2"]
    assert all(layer.weight.min() >= 0 for layer in shipped.layers)
    assert all(layer.bias.max() <= 0 for layer in shipped.layers[:3])
    assert shipped.metadata["command"].startswith("hil train")


@pytest.mark.parametrize(
    ("name", "index", "value", "message"),
    [
        ("conv2.weight", 7, -0.5, r"conv2.weight has -0.5; all weights must be ≥ 0"),
        ("fc1.bias", 3, np.nan, r"fc1.bias has nan; all values must be finite"),
        ("fc2.full_scale", 0, 0.0, r"fc2.full_scale has 0; it must be > 0"),
    ],
)
def test_a_wrong_value_is_named(
    tensors: dict[str, np.ndarray], tmp_path: Path, name: str, index: int, value: float, message: str
) -> None:
    wrong = {key: tensor.copy() for key, tensor in tensors.items()}
    wrong[name].flat[index] = value
    save_file(wrong, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=message):
        load_weights(tmp_path / "w.safetensors")


def test_wrong_shapes_types_and_missing_tensors_are_named(tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({**tensors, "conv1.bias": tensors["conv1.bias"][:31]}, file)
    with pytest.raises(InputError, match=r"conv1.bias has shape \(31,\); it must be \(32,\)"):
        load_weights(file)
    save_file({k: v for k, v in tensors.items() if k != "fc2.weight"}, file)
    with pytest.raises(InputError, match=r"tensor fc2.weight is missing"):
        load_weights(file)
    save_file({**tensors, "fc2.bias": np.zeros(10, dtype=np.int32)}, file)
    with pytest.raises(InputError, match="must be floating point"):
        load_weights(file)


def test_a_file_that_is_not_there_or_not_safetensors_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.safetensors: No such file"):
        load_weights(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is no weights file")
    with pytest.raises(InputError, match="not a safetensors file"):
        load_weights(tmp_path / "text.safetensors")


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_saved_weights_read_back(weights_file: Path, tmp_path: Path, dtype: type[np.floating]) -> None:
    before = load_weights(weights_file)
    save_weights(tmp_path / "w.safetensors", before.layers, {"command": "again"}, dtype)
    after = load_weights(tmp_path / "w.safetensors")
    assert after.metadata == {"command": "again"}
    assert after.digest != before.digest
    for old, new in zip(before.layers, after.layers, strict=True):
        assert np.array_equal(new.weight, old.weight.astype(dtype).astype(np.float32))
        assert np.array_equal(new.bias, old.bias.astype(dtype).astype(np.float32))
        assert np.array_equal(new.full_scale, old.full_scale)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_weights_that_cannot_be_written_are_named(weights_file: Path, tmp_path: Path) -> None:
    (tmp_path / "none").touch()
    with pytest.raises(InputError, match=r"weights file .*none/w.safetensors: .*none is not a folder"):
        save_weights(tmp_path / "none" / "w.safetensors", load_weights(weights_file).layers, {})
