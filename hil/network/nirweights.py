"""Weights from a NIR graph, where its layers fit: two Conv2d and two Affine or Linear of our shapes, in their order.

The drives that count as full scale are those that our own export keeps in its metadata; of other graphs they are the
largest drives that inputs of 0…1 can make, which only an image that fills a kernel reaches.
"""

from __future__ import annotations

import hashlib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import InputError
from hil.network.weights import SHAPES, LayerWeights, Sign, Weights

_WEIGHED = ("Conv2d", "Affine", "Linear")


def load_nir(path: Path) -> Weights:
    """The weights of a graph; raises InputError naming the layer that does not fit."""
    try:
        import nir
    except ImportError as error:
        raise InputError(f"{path} needs nir: install it with `pip install 'memristive-hil[nir]'`") from error
    try:
        raw = path.read_bytes()
        graph = nir.read(path, type_check=False)
    except (OSError, ValueError, KeyError, TypeError, AssertionError, AttributeError) as error:
        raise InputError(f"{path} is no NIR graph that can be read: {' '.join(str(error).split())[:200]}") from error
    return from_graph(path, graph, hashlib.sha256(raw).hexdigest())


def from_graph(path: Path, graph: Any, digest: str) -> Weights:
    """The weights of a `nir.NIRGraph` that was read from a file; raises InputError."""
    try:
        order = list(TopologicalSorter(_before(graph)).static_order())
    except (CycleError, KeyError) as error:
        raise InputError(f"{path}: its layers do not follow each other: {error}") from error
    nodes = [(name, graph.nodes[name]) for name in order if type(graph.nodes[name]).__name__ in _WEIGHED]
    if len(nodes) != len(SHAPES):
        raise InputError(
            f"{path} has {len(nodes)} layers with weights ({', '.join(name for name, _ in nodes)}); the network has "
            f"{len(SHAPES)}: {', '.join(f'{name} {shape}' for name, shape in SHAPES.items())}"
        )
    pairs = list(zip(SHAPES.items(), nodes, strict=True))
    weight = {ours: _weight(path, name, node, shape) for (ours, shape), (name, node) in pairs}
    sign: Sign = "differential" if any(values.min() < 0 for values in weight.values()) else "positive"
    layers: list[LayerWeights] = []
    most = 1.0
    for (ours, shape), (name, node) in pairs:
        bias = _bias(path, name, node, shape[0])
        scale = _full_scale(path, name, node, weight[ours], sign, most)
        layers.append(LayerWeights(ours, weight[ours], bias, scale))
        most = max(float((np.maximum(weight[ours], 0).reshape(shape[0], -1).sum(axis=1) * most + bias).max()), 1e-12)
    return Weights(tuple(layers), {"sign": sign, "from": "nir"}, digest, sign)


def _before(graph: Any) -> dict[str, list[str]]:
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        before[target].append(source)
    return before


def _floats(path: Path, name: str, values: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    found = np.asarray(values)
    if found.shape != shape or found.dtype.kind not in "fiu":
        raise InputError(f"{path}: {name} is {found.dtype} of shape {found.shape}; it must be {shape}")
    made = found.astype(np.float32)
    if not np.isfinite(made).all():
        raise InputError(f"{path}: {name} has {made[~np.isfinite(made)][0]}; all values must be finite")
    return made


def _weight(path: Path, name: str, node: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if (type(node).__name__ == "Conv2d") != (len(shape) == 4):
        raise InputError(f"{path}: {name} is {type(node).__name__}; the network has another layer of {shape} there")
    found = _floats(path, f"{name}.weight", node.weight, shape)
    if len(shape) == 4:
        wanted = {"stride": (1, 1), "padding": (shape[2] // 2,) * 2, "dilation": (1, 1), "groups": (1,)}
        for field, value in wanted.items():
            given = getattr(node, field)
            same = given == "same" if isinstance(given, str) else tuple(np.broadcast_to(given, len(value))) == value
            if not same:
                raise InputError(f"{path}: {name} has {field} = {given}; the network has {value[0]}")
    return found


def _bias(path: Path, name: str, node: Any, units: int) -> NDArray[np.float32]:
    bias = getattr(node, "bias", None)
    return np.zeros(units, dtype=np.float32) if bias is None else _floats(path, f"{name}.bias", bias, (units,))


def _full_scale(
    path: Path, name: str, node: Any, weight: NDArray[np.float32], sign: Sign, most: float
) -> NDArray[np.float32]:
    halves = 1 if sign == "positive" else 2
    kept = node.metadata.get("full_scale")
    if kept is not None and np.shape(kept) == (halves * len(weight),):
        scale = _floats(path, f"{name} full_scale", kept, (halves * len(weight),))
        if scale.min() > 0:
            return scale
    flat = weight.reshape(len(weight), -1)
    sides = [np.maximum(flat, 0), np.maximum(-flat, 0)][:halves]
    sums = np.stack([side.sum(axis=1) for side in sides], axis=1).ravel() * np.float32(most)
    found: NDArray[np.float32] = np.maximum(sums, 1e-6).astype(np.float32)
    return found
