"""Weights from a NIR graph, where its layers fit: two Conv2d and two Affine or Linear of our shapes, in their order.

The drives that count as full scale are those that our own export keeps in its metadata; of other graphs they are the
largest drives that inputs of 0…1 can make, which only an image that fills a kernel reaches.
"""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.errors import InputError
from hil.network.onoff import on_off_as_one

Shapes = Mapping[str, tuple[int, ...]]
_WEIGHED = ("Conv2d", "Affine", "Linear")


class NirLayer(NamedTuple):
    """What a graph says of one of our layers: weight, bias (units,), and full-scale drives (halves · units,)."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    full_scale: NDArray[np.float32]


def read_nir(path: Path, shapes: Shapes) -> list[NirLayer]:
    """The layers of a graph that has the network's `shapes`; raises InputError naming the layer that does not fit."""
    try:
        import nir
    except ImportError as error:
        raise InputError(f"{path} needs nir: install it with `pip install 'memristive-hil[nir]'`") from error
    if not path.is_file():
        raise InputError(f"weights {path}: no such file")
    try:
        graph = nir.read(path, type_check=False)
    except (OSError, ValueError, KeyError, TypeError, AssertionError, AttributeError) as error:
        raise InputError(f"{path} is no NIR graph that can be read: {' '.join(str(error).split())[:200]}") from error
    return from_graph(path, graph, shapes)


def from_graph(path: Path, graph: Any, shapes: Shapes) -> list[NirLayer]:
    """The layers of a `nir.NIRGraph` that was read from a file; raises InputError."""
    try:
        order = list(TopologicalSorter(_before(graph)).static_order())
    except (CycleError, KeyError) as error:
        raise InputError(f"{path}: its layers do not follow each other: {error}") from error
    nodes = [(name, graph.nodes[name]) for name in order if type(graph.nodes[name]).__name__ in _WEIGHED]
    if len(nodes) != len(shapes):
        raise InputError(
            f"{path} has {len(nodes)} layers with weights ({', '.join(name for name, _ in nodes)}); the network has "
            f"{len(shapes)}: {', '.join(f'{name} {shape}' for name, shape in shapes.items())}"
        )
    pairs = list(zip(shapes.values(), nodes, strict=True))
    weights = [_weight(path, name, node, shape) for shape, (name, node) in pairs]
    on_off = _on_off(path, *nodes[0], weights[0])
    if on_off is not None:
        weights[0] = on_off
    halves = 2 if any(weight.min() < 0 for weight in weights) else 1
    layers: list[NirLayer] = []
    most = 1.0
    for weight, (_, (name, node)) in zip(weights, pairs, strict=True):
        bias = _bias(path, name, node, len(weight), as_kept=weight is on_off)
        layers.append(NirLayer(weight, bias, _full_scale(path, name, node, weight, halves, most)))
        most = max(float((np.maximum(weight, 0).reshape(len(weight), -1).sum(axis=1) * most + bias).max()), 1e-12)
    return layers


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


def _on_off(path: Path, name: str, node: Any, seen: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The weights of conv1 that our own export keeps where it sees pixels as bright and as dark; None: it does not."""
    kept = node.metadata.get("on_off")
    if kept is None:
        return None
    units, _, *kernel = seen.shape
    found = _floats(path, f"{name} on_off", kept, (units, 2, *kernel))
    if not np.array_equal(on_off_as_one(found)[0], seen):
        raise InputError(f"{path}: {name}'s on_off is not what its weights are made of; take it out of the metadata")
    return found


def _bias(path: Path, name: str, node: Any, units: int, *, as_kept: bool = False) -> NDArray[np.float32]:
    bias = node.metadata.get("bias") if as_kept else getattr(node, "bias", None)
    return np.zeros(units, dtype=np.float32) if bias is None else _floats(path, f"{name}.bias", bias, (units,))


def _full_scale(
    path: Path, name: str, node: Any, weight: NDArray[np.float32], halves: int, most: float
) -> NDArray[np.float32]:
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
