"""The network as a NIR graph (Neuromorphic Intermediate Representation, Pedersen et al. 2024), and spikes as NIRData.

conv1 and conv2 are Conv2d, fc1 and fc2 Affine; between them stand IF neurons and a pool. All neurons of a layer have
one threshold, the largest drive that counts as full scale in it: so their rates are to each other as their drives, and
snnTorch takes no other neurons (`import_nir.py`, 0.9). NIR has no max-pool: the graph says AvgPool2d, which snnTorch
knows of the two there are, and its metadata that ours takes the largest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.durable import replacing
from drivers.errors import InputError
from hil.network.layers import BORDER, LAYERS, Floats, Layer
from hil.network.onoff import on_off_as_one
from hil.network.weights import CHANNELS, load_weights
from hil.report.formats.played import played_shots, wanted_shots
from hil.run.session import config_of

if TYPE_CHECKING:
    from hil.network.weights import LayerWeights
    from hil.store.runfile import RunFile

_SHAPES = {"conv1": (1, 28, 28), "conv2": (32, 14, 14), "fc1": (64, 7, 7)}  # what a layer sees


def _library() -> Any:
    try:
        import nir
    except ImportError as error:
        raise InputError("--to nir needs nir: install it with `pip install 'memristive-hil[nir]'`") from error
    return nir


def to_graph(layers: tuple[LayerWeights, ...]) -> Any:
    """The network as a `nir.NIRGraph`; raises InputError without the extra."""
    nir = _library()
    nodes: dict[str, Any] = {"input": nir.Input(np.array(_SHAPES["conv1"]))}
    for layer, weights in zip(LAYERS, layers, strict=True):
        if layer.name == "fc1":
            nodes["flatten"] = nir.Flatten({"input": np.array(_SHAPES["fc1"])}, start_dim=0, end_dim=-1)
        nodes |= _nodes(nir, layer, weights)
    nodes["output"] = nir.Output(np.array([LAYERS[-1].units]))
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)))


def _as_seen(weights: LayerWeights) -> tuple[Floats, Floats, dict[str, Any]]:
    """Weight and bias for the image as it is, and what to remember: NIR knows no pixels that are seen as dark, too."""
    about: dict[str, Any] = {"full_scale": weights.full_scale}
    if weights.name != "conv1" or weights.weight.shape[1] == CHANNELS["on"]:
        return weights.weight, weights.bias, about
    seen, dark = on_off_as_one(weights.weight)
    return seen, weights.bias + dark, about | {"on_off": weights.weight, "bias": weights.bias}


def _nodes(nir: Any, layer: Layer, weights: LayerWeights) -> dict[str, Any]:
    threshold = weights.full_scale.max()
    weight, bias, about = _as_seen(weights)
    if not layer.is_convolution:
        made = {layer.name: nir.Affine(weight, bias, metadata=about)}
        if layer.relu:
            made[f"{layer.name}_neurons"] = _neurons(nir, (layer.units,), threshold)
        return made
    seen = _SHAPES[layer.name][1:]
    two, none = np.array([2, 2]), np.array([0, 0])
    return {
        layer.name: nir.Conv2d(seen, weight, 1, BORDER, 1, 1, bias, metadata=about),
        f"{layer.name}_neurons": _neurons(nir, (layer.units, layer.side, layer.side), threshold),
        f"{layer.name}_pool": nir.AvgPool2d(two, two, none, metadata={"pool": "max"}),
    }


def _neurons(nir: Any, shape: tuple[int, ...], threshold: np.float32) -> Any:
    return nir.IF(np.ones(shape, dtype=np.float32), np.full(shape, threshold, dtype=np.float32))


def to_nir(
    run: RunFile,
    path: Path,
    digits: Collection[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write the network as PATH, and beside it, where spikes have times, PATH's stem with -spikes as NIRData.

    Returns the files; raises InputError.
    """
    nir = _library()
    config = config_of(run)
    weights = load_weights(config.weights_path)
    if weights.digest != config.weights_digest:
        raise InputError(f"run {run.path} was made with other weights ({config.weights_digest[:12]}…): put them back")
    with replacing(path, "export") as partial:
        nir.write(partial, to_graph(weights.layers))
    data = to_data(run, digits, progress)
    if data is None:
        return [path]
    beside = path.with_name(f"{path.stem}-spikes{path.suffix}")
    with replacing(beside, "export") as partial:
        nir.write_data(partial, data)
    return [path, beside]


def to_data(
    run: RunFile, digits: Collection[int] | None = None, progress: Callable[[int, int], None] | None = None
) -> Any | None:
    """Spikes of each layer played on the neuron as `nir.NIRGraphData`: a sample a frame; None without times.

    The index of an event is that of the neuron in the layer's map; its time counts from the beginning of its slot, for
    one neuron stands in for all of them in turn.
    """
    nir = _library()
    events: dict[Layer, dict[tuple[int, int], list[Any]]] = {}
    total, lasted = len(wanted_shots(run, digits)), 0.0
    for number, shot in enumerate(played_shots(run, digits), start=1):
        if shot.axon_s is None:
            return None
        frame = shot.capture.frame
        rises = shot.axon_s[:, 0]
        at = np.searchsorted(shot.slots_s[:, 0], rises, side="right") - 1
        good = (at >= 0) & (rises < shot.slots_s[np.maximum(at, 0), 1])
        slot = shot.played[at[good]]
        good[good] = shot.capture.ok[slot]
        slot = slot[shot.capture.ok[slot]]
        layer = LAYERS[int(frame.layer[0])]
        index = frame.channel[slot].astype(np.int64) * layer.positions + frame.position[slot]
        times = rises[good] - shot.slots_s[at[good], 0]
        lasted = max(lasted, float((shot.slots_s[:, 1] - shot.slots_s[:, 0]).max()))
        key = (frame.key.noise, frame.key.image)
        events.setdefault(layer, {}).setdefault(key, []).append((index, times))
        if progress is not None:
            progress(number, total)
    made = {layer.name: _events(nir, layer, found, lasted) for layer, found in events.items()}
    return nir.NIRGraphData({f"{name}_neurons": nir.NIRNodeData({"spikes": found}) for name, found in made.items()})


def _events(nir: Any, layer: Layer, found: dict[Any, list[Any]], lasted: float) -> Any:
    """(samples, events): indices, −1 for none, and times, inf for none."""
    samples = [tuple(np.concatenate(parts) for parts in zip(*found[key], strict=True)) for key in sorted(found)]
    most = max((len(index) for index, _ in samples), default=0)
    index, times = np.full((len(samples), most), -1), np.full((len(samples), most), np.inf)
    for row, (numbers, at) in enumerate(samples):
        index[row, : len(numbers)], times[row, : len(at)] = numbers, at
    halves = 2 if any((numbers >= layer.units * layer.positions).any() for numbers, _ in samples) else 1
    return nir.EventData(index, times, halves * layer.units * layer.positions, lasted)
