"""The trained network as stored: safetensors in, checked float32 arrays out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivers.durable import write_durably
from drivers.errors import InputError

SHAPES: dict[str, tuple[int, ...]] = {
    "conv1": (32, 1, 5, 5),
    "conv2": (64, 32, 5, 5),
    "fc1": (1024, 3136),
    "fc2": (10, 1024),
}


@dataclass(frozen=True)
class LayerWeights:
    """One layer: non-negative weight, bias (units,), and the drive (units,) that counts as full scale."""

    name: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    full_scale: NDArray[np.float32]


@dataclass(frozen=True)
class Weights:
    """conv1, conv2, fc1, fc2 in order; metadata as stored; SHA-256 of the file."""

    layers: tuple[LayerWeights, ...]
    metadata: dict[str, str]
    digest: str


def load_weights(path: str | Path | None = None) -> Weights:
    """Read and check a weights file, by default the one that ships with the package.

    Raises InputError naming the tensor, the value and what is allowed.
    """
    from safetensors import SafetensorError, safe_open

    name = str(path) if path is not None else str(files("hil") / "data" / "weights.safetensors")
    try:
        raw = Path(name).read_bytes()
        with safe_open(name, framework="numpy") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
            metadata = dict(file.metadata() or {})
    except OSError as error:
        raise InputError(f"weights file {name}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise InputError(f"weights file {name}: not a safetensors file ({error})") from error
    layers = tuple(_layer(name, layer, shape, tensors) for layer, shape in SHAPES.items())
    return Weights(layers, metadata, hashlib.sha256(raw).hexdigest())


def save_weights(
    path: Path, layers: tuple[LayerWeights, ...], metadata: dict[str, str], dtype: type[np.floating] = np.float16
) -> None:
    """Write a weights file; weights and biases as `dtype`, full scales as float32. It appears only when it is whole."""
    from safetensors.numpy import save

    tensors: dict[str, NDArray[np.floating]] = {}
    for layer in layers:
        tensors[f"{layer.name}.weight"] = layer.weight.astype(dtype)
        tensors[f"{layer.name}.bias"] = layer.bias.astype(dtype)
        tensors[f"{layer.name}.full_scale"] = layer.full_scale
    write_durably(path, save(tensors, metadata), "weights file")


def _layer(file: str, name: str, shape: tuple[int, ...], tensors: dict[str, NDArray[np.generic]]) -> LayerWeights:
    weight = _tensor(file, f"{name}.weight", shape, tensors)
    if weight.min() < 0:
        raise InputError(f"weights file {file}: {name}.weight has {weight.min():g}; all weights must be ≥ 0")
    bias = _tensor(file, f"{name}.bias", shape[:1], tensors)
    full_scale = _tensor(file, f"{name}.full_scale", shape[:1], tensors)
    if full_scale.min() <= 0:
        raise InputError(f"weights file {file}: {name}.full_scale has {full_scale.min():g}; it must be > 0")
    return LayerWeights(name, weight, bias, full_scale)


def _tensor(
    file: str, name: str, shape: tuple[int, ...], tensors: dict[str, NDArray[np.generic]]
) -> NDArray[np.float32]:
    if name not in tensors:
        raise InputError(f"weights file {file}: tensor {name} is missing")
    tensor = tensors[name]
    if tensor.shape != shape:
        raise InputError(f"weights file {file}: {name} has shape {tensor.shape}; it must be {shape}")
    if tensor.dtype.kind != "f":
        raise InputError(f"weights file {file}: {name} has type {tensor.dtype}; it must be floating point")
    values = tensor.astype(np.float32)
    if not np.isfinite(values).all():
        bad = values[~np.isfinite(values)][0]
        raise InputError(f"weights file {file}: {name} has {bad}; all values must be finite")
    return values
