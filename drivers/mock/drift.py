"""Simulated devices that drift, and the same ones without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.mock.physics.neuron import NeuronModel, neuron_model

if TYPE_CHECKING:
    from drivers.device import DeviceFile

_DRIFT = {
    name: NeuronModel.model_fields[name].default
    for name in ("step_drift_per_gigapulse", "lrs_drift_per_gigapulse", "change_at_pulses", "change_factor")
}


def drifts(device: DeviceFile) -> bool:
    """Whether a device changes with the pulses that it has had."""
    model = neuron_model(device)
    return model.change_at_pulses is not None or any(
        getattr(model, name) != _DRIFT[name] for name in ("step_drift_per_gigapulse", "lrs_drift_per_gigapulse")
    )


def steady(device: DeviceFile) -> DeviceFile:
    """The device as it is when new, for ever."""
    kept = {name: value for name, value in (device.model or {}).items() if name not in _DRIFT}
    return device.model_copy(update={"model": kept})


def drifting(device: DeviceFile, share: float, pulses: int) -> DeviceFile:
    """The device with a mean step of ln R that has changed by this share, evenly, after so many pulses."""
    per_gigapulse = share / (max(pulses, 1) * 1e-9)
    return device.model_copy(update={"model": {**(device.model or {}), "step_drift_per_gigapulse": per_gigapulse}})
