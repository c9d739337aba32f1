"""The simulated board's waveforms as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from board.scenarios import loop


def draw_loop(file: Path) -> None:
    """A reset and the dendrite pulses up to a firing, as they would stand on an oscilloscope."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    found = loop()
    t = found.times_s * 1e6
    rows = [("dendrite", ["dendrite"]), ("reset", ["reset"]), ("device", ["TE"]), ("membrane, V_th", ["M", "VTH"])]
    rows += [("shunt", ["SHUNT"]), ("axon", ["AXON"])]
    figure, axes = plt.subplots(len(rows), 1, sharex=True, figsize=(9, 6.5), layout="constrained")
    for axis, (name, nets) in zip(axes, rows, strict=True):
        for net, style in zip(nets, ("-", "--"), strict=False):
            axis.plot(t, found.volts[net], style, lw=1.2)
        axis.set_ylabel(f"{name}\nV", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("µs")
    axes[-1].set_xlim(0, float(np.max(t)))
    axes[0].set_title(
        "Simulated (ngspice): the stand-in device fires, is returned, and a pulse in between is held back", fontsize=9
    )
    figure.savefig(file, dpi=110)
    plt.close(figure)
