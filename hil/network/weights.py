"""The trained network as stored: safetensors in, checked float32 arrays out.

Four files ship with the package: `positive`, the paper's kind, whose weights are all ≥ 0; `sparing`, which is so too
and was trained further to be played with few pulses; `on-off`, whose weights are all ≥ 0 and whose conv1 sees of every
pixel how bright it is and how dark; and `differential`, whose weights have either sign. On the neuron a differential
unit is two units of non-negative weights, its positive and its negative half, which are played one after the other and
subtracted in software.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

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

Sign = Literal["positive", "differential"]
Sees = Literal["on", "on-off"]
CHANNELS: dict[Sees, int] = {"on": 1, "on-off": 2}
SHIPPED = {
    "positive": "weights.safetensors",
    "sparing": "sparing.safetensors",
    "on-off": "on-off.safetensors",
    "differential": "differential.safetensors",
}


def shapes_of(sees: Sees) -> dict[str, tuple[int, ...]]:
    """The shapes of the layers' weights, of which conv1 sees so much of a pixel."""
    units, _, *kernel = SHAPES["conv1"]
    return {**SHAPES, "conv1": (units, CHANNELS[sees], *kernel)}


@dataclass(frozen=True)
class LayerWeights:
    """One layer: weight, bias (units,), and the drives (halves · units,) that count as full scale.

    Weights are non-negative, unless there are two halves: the full scales are then those of each unit's positive half
    and of its negative one, in turn.
    """

    name: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    full_scale: NDArray[np.float32]

    @property
    def halves(self) -> int:
        """1 of an all-positive layer, 2 of a differential one."""
        return len(self.full_scale) // len(self.bias)

    @cached_property
    def played_weight(self) -> NDArray[np.float32]:
        """(halves · units, …) the non-negative weights that the neuron is played with."""
        if self.halves == 1:
            return self.weight
        halves = np.stack([np.maximum(self.weight, 0), np.maximum(-self.weight, 0)], axis=1)
        return halves.reshape(-1, *self.weight.shape[1:])


@dataclass(frozen=True)
class Weights:
    """conv1, conv2, fc1, fc2 in order; metadata as stored; SHA-256 of the file; whether weights have either sign."""

    layers: tuple[LayerWeights, ...]
    metadata: dict[str, str]
    digest: str
    sign: Sign = "positive"

    @property
    def sees(self) -> Sees:
        """What conv1 sees of a pixel: how bright it is, or that and how dark it is."""
        return "on-off" if self.layers[0].weight.shape[1] == CHANNELS["on-off"] else "on"


def load_weights(path: str | Path | None = None) -> Weights:
    """Read and check a weights file: by default, or by its name, one that ships with the package; or a NIR graph.

    Raises InputError naming the tensor, the value and what is allowed.
    """
    from safetensors import SafetensorError, safe_open

    name = str(path or "positive")
    if Path(name).suffix.lower() == ".nir":
        return _from_nir(Path(name))
    if name in SHIPPED:
        name = str(files("hil") / "data" / SHIPPED[name])
    try:
        raw = Path(name).read_bytes()
        with safe_open(name, framework="numpy") as file:
            tensors = {key: _read(name, file, key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
            metadata = dict(file.metadata() or {})
    except OSError as error:
        raise InputError(f"weights file {name}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise InputError(f"weights file {name}: not a safetensors file ({error})") from error
    sign = _sign(name, metadata)
    shapes = shapes_of(_sees(name, metadata))
    layers = tuple(_layer(name, layer, shape, tensors, sign) for layer, shape in shapes.items())
    return Weights(layers, metadata, hashlib.sha256(raw).hexdigest(), sign)


def _from_nir(path: Path) -> Weights:
    """The weights of a NIR graph; raises InputError."""
    from hil.network.nirweights import read_nir

    found = read_nir(path, SHAPES)
    layers = tuple(LayerWeights(name, *layer) for name, layer in zip(SHAPES, found, strict=True))
    sign: Sign = "differential" if layers[0].halves == 2 else "positive"
    return Weights(layers, {"sign": sign}, hashlib.sha256(path.read_bytes()).hexdigest(), sign)


def save_weights(
    path: Path, layers: tuple[LayerWeights, ...], metadata: dict[str, str], dtype: type[np.floating] = np.float16
) -> None:
    """Write a weights file; weights and biases as `dtype`, full scales as float32. It appears only when it is whole."""
    from safetensors.numpy import save

    tensors: dict[str, NDArray[np.floating]] = {}
    for layer in layers:
        # In C order: what is stored is the memory as it lies, and training keeps kernels in another order.
        tensors[f"{layer.name}.weight"] = np.ascontiguousarray(layer.weight, dtype=dtype)
        tensors[f"{layer.name}.bias"] = np.ascontiguousarray(layer.bias, dtype=dtype)
        tensors[f"{layer.name}.full_scale"] = layer.full_scale
    write_durably(path, save(tensors, metadata), "weights file")


def _sign(file: str, metadata: dict[str, str]) -> Sign:
    """As the header says; files without a word are all-positive."""
    found = metadata.get("sign", "positive")
    for sign in get_args(Sign):
        if found == sign:
            return sign  # type: ignore[no-any-return]
    raise InputError(f"weights file {file}: sign is {found!r}; it must be one of {', '.join(get_args(Sign))}")


def _sees(file: str, metadata: dict[str, str]) -> Sees:
    """As the header says; conv1 of files without a word sees how bright a pixel is."""
    found = metadata.get("sees", "on")
    for sees in get_args(Sees):
        if found == sees:
            return sees  # type: ignore[no-any-return]
    raise InputError(f"weights file {file}: sees is {found!r}; it must be one of {', '.join(get_args(Sees))}")


def _layer(
    file: str, name: str, shape: tuple[int, ...], tensors: dict[str, NDArray[np.generic]], sign: Sign
) -> LayerWeights:
    weight = _tensor(file, f"{name}.weight", shape, tensors)
    if sign == "positive" and weight.min() < 0:
        raise InputError(
            f"weights file {file}: {name}.weight has {weight.min():g}; all weights must be ≥ 0, "
            "unless the header says sign = differential"
        )
    bias = _tensor(file, f"{name}.bias", shape[:1], tensors)
    scales = (shape[0] * (1 if sign == "positive" else 2),)
    full_scale = _tensor(file, f"{name}.full_scale", scales, tensors)
    if full_scale.min() <= 0:
        raise InputError(f"weights file {file}: {name}.full_scale has {full_scale.min():g}; it must be > 0")
    return LayerWeights(name, weight, bias, full_scale)


def _read(name: str, file: Any, key: str) -> NDArray[np.generic]:
    """One tensor of an open file; raises InputError for a type that safetensors has and numpy has not, as bfloat16."""
    try:
        found: NDArray[np.generic] = file.get_tensor(key)
    except (TypeError, AttributeError) as error:
        kind = file.get_slice(key).get_dtype()
        raise InputError(
            f"weights file {name}: {key} has type {kind}, which numpy does not know; save it as float32"
        ) from error
    return found


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
