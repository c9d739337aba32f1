"""Draw the oscilloscope's screen at each step of bring-up.md, right and wrong, as the simulated board has it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from drivers.benchfile import BenchFile
from drivers.device import DeviceFile, load_device
from drivers.edges import compile_levels
from drivers.mock.board import Board
from drivers.mock.probe import render
from drivers.signals import probe_frame

mpl.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
BENCH = HERE.parent / "examples" / "benches" / "pigpio-scope.toml"
TICK_S = 1e-6
SAMPLE_S = 40e-9
NODE_S = 3.4e-6  # of the reference board at V_th, simulated: docs/how-to/board.md
CHANNELS = (
    ("axon", "#f7e017", 1.0),
    ("sync", "#30d5e8", 1.0),
    ("dendrite", "#e85fd8", 1.0),
    ("membrane", "#5a9bf0", 0.5),
)
FAULTS = {
    "stuck_axon_high": "axon flat high",
    "stuck_axon_low": "axon flat low",
    "inverted_comparator": "axon upside down",
    "sync_axon_swapped": "sync and axon swapped",
    "sync_missing": "no sync",
    "wrong_address": "select0 does not close",
}


def main() -> None:
    """Draw both pictures."""
    file = BenchFile.model_validate(tomllib.loads(BENCH.read_text(encoding="utf-8")))
    memristor = load_device("nominal")
    model = dict(memristor.model or {}) | {"node_s": NODE_S}
    memristor = memristor.model_copy(update={"model": model})
    resistor = memristor.model_copy(
        update={"model": model | {"step": 1e-12, "jump_probability": 0.0, "lrs_spread": 0.0}}
    )
    steps = (
        ("step 4: a resistor, V_th at its maximum", resistor, 2.0),
        ("step 4: a resistor, V_th at its minimum", resistor, 0.2),
        ("step 7: the memristor, V_th 0.7 V", memristor, 0.7),
        ("step 7: V_th 1.0 V, fewer spikes", memristor, 1.0),
    )
    figure, axes = plt.subplots(2, 2, figsize=(13, 8), layout="constrained", facecolor="white")
    for axis, (title, device, vth_v) in zip(axes.flat, steps, strict=True):
        screen(axis, title, file, device, vth_v)
    figure.savefig(HERE / "pictures" / "screens.png", dpi=80)
    figure, axes = plt.subplots(3, 2, figsize=(13, 12), layout="constrained", facecolor="white")
    for axis, (fault, title) in zip(axes.flat, FAULTS.items(), strict=True):
        screen(axis, title, file, memristor, 0.7, fault)
    figure.savefig(HERE / "pictures" / "screens-wrong.png", dpi=80)


def screen(axis: Any, title: str, file: BenchFile, device: DeviceFile, vth_v: float, fault: str = "") -> None:
    """Play four slots on the simulated board and show its four channels as a DS4024 would."""
    now = [0]
    board = Board(device, file.board, seed=2, clock=lambda: now[0], faults=[fault] if fault else [])
    board.set_threshold(vth_v)
    shot = probe_frame("screens", file.slot, [5, 9, 3, 7])
    t, levels = compile_levels(shot, file.board, TICK_S)
    begins_ns = 40_000
    board.play(begins_ns, t * round(TICK_S * 1e9), levels)
    span_s = float(t[-1]) * TICK_S + 80e-6
    now[0] = round(span_s * 1e9) + 1_000_000
    axis.set_facecolor("black")
    for row, (name, colour, scale) in enumerate(CHANNELS):
        trace = render(board.volts, name, 0, SAMPLE_S, round(span_s / SAMPLE_S), 2.0 * scale, seed=row)
        volts = trace.volts / (4.4 * scale)
        axis.plot(trace.times_s * 1e6, volts + 3 - row, color=colour, lw=0.8)
        axis.text(6, 3 - row + 0.52, f"{row + 1} {name}", color=colour, fontsize=8)
    if vth_v < 1.5:
        axis.axhline(vth_v / 2.2, color="#888888", lw=0.8, ls="--")
        axis.text(span_s * 1e6 - 8, vth_v / 2.2 + 0.03, f"V_th {vth_v:g} V", color="#aaaaaa", fontsize=8, ha="right")
    axis.set_xlim(0, span_s * 1e6)
    axis.set_ylim(-0.45, 4.0)
    axis.set_xticks(np.arange(0, span_s * 1e6, 100))
    axis.tick_params(labelsize=7)
    axis.set_yticks([])
    axis.grid(color="#333333", lw=0.6)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("µs", fontsize=8)


if __name__ == "__main__":
    main()
