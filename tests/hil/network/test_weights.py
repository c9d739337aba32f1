from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from drivers.errors import InputError
from hil.network.layers import as_maps
from hil.network.mnist import load_test
from hil.network.walk import walk
from hil.network.weights import Weights, load_weights, save_weights


def test_the_shipped_network_is_non_negative_and_says_how_it_was_made(shipped: Weights) -> None:
    assert [layer.name for layer in shipped.layers] == ["conv1", "conv2", "fc1", "fc2"]
    assert all(layer.weight.min() >= 0 for layer in shipped.layers)
    assert all(layer.bias.max() <= 0 for layer in shipped.layers[:3])
    assert shipped.metadata["command"].startswith("hil train")


def test_the_shipped_differential_network_has_weights_of_either_sign_and_recognises_digits() -> None:
    weights = load_weights("differential")
    assert weights.sign == "differential"
    assert all(layer.weight.min() < 0 < layer.weight.max() for layer in weights.layers)
    images, labels = (part[:200] for part in load_test())
    (*_, last) = walk(weights.layers, as_maps(images))
    assert (last.maps.reshape(200, 10).argmax(axis=1) == labels).mean() > 0.97


def test_the_on_off_network_is_non_negative_and_sees_dark_pixels() -> None:
    weights = load_weights("on-off")
    assert (weights.sign, weights.sees) == ("positive", "on-off")
    assert all(layer.weight.min() >= 0 for layer in weights.layers)
    assert all(layer.bias.max() <= 0 for layer in weights.layers[:3])
    assert weights.metadata["command"].startswith("hil train --seed 0 --sees on-off --coding excess")
    images, labels = (part[:200] for part in load_test())
    (*_, last) = walk(weights.layers, as_maps(images))
    assert (last.maps.reshape(200, 10).argmax(axis=1) == labels).mean() > 0.97


def test_the_sparing_network_is_non_negative_and_says_what_it_went_on_from() -> None:
    sparing = load_weights("sparing")
    assert sparing.sign == "positive"
    assert all(layer.weight.min() >= 0 for layer in sparing.layers)
    assert all(layer.bias.max() <= 0 for layer in sparing.layers[:3])
    assert sparing.metadata["command"] == "hil train --seed 0 --start sparing --teacher differential --epochs 10"
    assert "start 80ad37153423" in sparing.metadata["sources"]  # what three epochs from `positive` had made
    assert f"teacher {load_weights('differential').digest[:12]}" in sparing.metadata["sources"]


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


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3"])
def test_types_that_numpy_does_not_know_are_named(kind: str, tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    file, stands_for = tmp_path / "w.safetensors", np.uint16 if kind == "BF16" else np.uint8
    raw = save({**tensors, "fc2.bias": np.zeros(10, dtype=stands_for)})
    size = int.from_bytes(raw[:8], "little")
    told = "U16" if kind == "BF16" else "U8"
    header = raw[8 : 8 + size].replace(f'"dtype":"{told}"'.encode(), f'"dtype":"{kind}"'.encode())
    header += b" " * (-len(header) % 8)
    file.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + size :])
    with pytest.raises(InputError, match=f"fc2.bias has type {kind}, which numpy does not know; save it as float32"):
        load_weights(file)


def test_a_file_that_is_not_there_or_not_safetensors_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.safetensors: No such file"):
        load_weights(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is no weights file")
    with pytest.raises(InputError, match="not a safetensors file"):
        load_weights(tmp_path / "text.safetensors")


def test_weights_of_either_sign_are_split_into_halves(differential_file: Path) -> None:
    weights = load_weights(differential_file)
    assert weights.sign == "differential"
    for layer in weights.layers:
        assert layer.halves == 2
        assert layer.played_weight.min() >= 0
        plus, minus = layer.played_weight[0::2], layer.played_weight[1::2]
        assert np.array_equal(plus - minus, layer.weight)
        assert not (plus * minus).any()


def test_what_the_header_says_of_signs_must_fit(
    tensors: dict[str, np.ndarray], differential_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "w.safetensors"
    save_file(tensors, file, metadata={"sign": "differential"})
    with pytest.raises(InputError, match=r"conv1.full_scale has shape \(32,\); it must be \(64,\)"):
        load_weights(file)
    save_file(tensors, file, metadata={"sign": "both"})
    with pytest.raises(InputError, match="sign is 'both'; it must be one of positive, differential"):
        load_weights(file)
    save_weights(file, load_weights(differential_file).layers, {})
    with pytest.raises(InputError, match="must be ≥ 0, unless the header says sign = differential"):
        load_weights(file)


def test_what_conv1_sees_must_fit_the_header(tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file(tensors, file, metadata={"sees": "on-off"})
    with pytest.raises(InputError, match=r"conv1.weight has shape \(32, 1, 5, 5\); it must be \(32, 2, 5, 5\)"):
        load_weights(file)
    save_file(tensors, file, metadata={"sees": "red"})
    with pytest.raises(InputError, match="sees is 'red'; it must be one of on, on-off"):
        load_weights(file)
    both = {**tensors, "conv1.weight": np.repeat(tensors["conv1.weight"], 2, axis=1)}
    save_file(both, file, metadata={"sees": "on-off"})
    assert load_weights(file).sees == "on-off"
    save_file(both, file)
    with pytest.raises(InputError, match=r"it must be \(32, 1, 5, 5\)"):
        load_weights(file)


def test_kernels_that_lie_otherwise_in_memory_are_stored_as_they_are_meant(shipped: Weights, tmp_path: Path) -> None:
    """As training hands them over, whose kernels lie with their channels last."""

    def turned(weight: np.ndarray) -> np.ndarray:
        return weight if weight.ndim < 4 else weight.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)

    layers = tuple(replace(layer, weight=turned(layer.weight)) for layer in shipped.layers)
    assert not layers[1].weight.flags.c_contiguous
    for dtype in (np.float16, np.float32):
        save_weights(tmp_path / "w.safetensors", layers, {}, dtype)
        after = load_weights(tmp_path / "w.safetensors")
        assert all(np.array_equal(a.weight, b.weight) for a, b in zip(after.layers, shipped.layers, strict=True))


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
