"""A recorded run in memory as an xarray tree: the same groups, names and units as its HDF5 export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from drivers.errors import InputError
from hil.report.export import MISSING, RESULT_COLUMNS, SLOT_COLUMNS, digit_slots, slot_scales
from hil.run.digits import heading
from hil.run.session import config_of, results_of
from hil.terminal.install import install_extra

if TYPE_CHECKING:
    import xarray as xr

    from hil.network.physical import Physical
    from hil.run.config import RunConfig
    from hil.store.runfile import RunFile


def to_xarray(run: RunFile, digits: Sequence[int] | None = None) -> xr.DataTree:
    """A run as a tree: `/` holds a result a digit as (noise, image), `/LAYER` the slots of a layer on the neuron.

    `digits` are indices in the test set (default: all of the run); a digit's slots take some 20 bytes each, 0.5 MB for
    a whole first layer. What is not recorded is -1, NaN for floats. Raises InputError without xarray.
    """
    try:
        import xarray as xr
    except ImportError as error:
        raise InputError(f"to_xarray needs xarray: {install_extra('notebook')}") from error
    config = config_of(run)
    chosen = list(config.images) if digits is None else list(digits)
    frames = {"noise": list(config.noise), "image": chosen}
    tree = {"/": xr.Dataset(_results(run, config, chosen), frames, {"title": heading(config)})}
    for part in config.parts:
        scales = slot_scales(part)
        variables = _layer(run, config, chosen, part, (*frames, *scales))
        tree[f"/{part.layer.name}"] = xr.Dataset(variables, {**frames, **scales})
    return xr.DataTree.from_dict(tree)


_Variables = dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, str]]]


def _results(run: RunFile, config: RunConfig, chosen: list[int]) -> _Variables:
    results = {(r.noise, r.index): r for r in results_of(run)}
    made: _Variables = {}
    for name, kind, unit, text in RESULT_COLUMNS:
        values = np.full((len(config.noise), len(chosen)), np.nan if kind == "f8" else MISSING, dtype=kind)
        for n, noise in enumerate(config.noise):
            for i, image in enumerate(chosen):
                if (noise, image) in results:
                    values[n, i] = getattr(results[noise, image], name)
        made[name] = (("noise", "image"), values, {"units": unit, "long_name": text})
    return made


def _layer(
    run: RunFile, config: RunConfig, chosen: list[int], part: Physical, dimensions: tuple[str, ...]
) -> _Variables:
    shape = (len(config.noise), len(chosen), *(len(scale) for scale in slot_scales(part).values()))
    frames = [digit_slots(run, config, noise, image, part) for noise in config.noise for image in chosen]
    return {
        name: (
            dimensions,
            np.stack([frame[name] for frame in frames]).reshape(shape),
            {"units": unit, "long_name": text},
        )
        for name, _, unit, text in SLOT_COLUMNS
    }
