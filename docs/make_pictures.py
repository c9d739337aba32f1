"""Draw the pictures of the README and of calibration.md from real runs on the mock bench: `make docs`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from calibration.picture import new_figure, printed, save_figure
from calibration.transfer import measure_transfer
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.mock.bench import MockBench
from drivers.signals import Capture, Trace
from hil.cli import main as hil
from hil.network.mnist import load_test
from hil.network.physical import parse_physical
from hil.network.weights import load_weights
from hil.report.figures import tiles
from hil.run.config import DEFAULT_FULL_SCALE
from hil.run.loop import Odometer, Recogniser

NINE = 7  # index of the first 9 in the test set
VTH_V = 0.7
SLOTS_SHOWN = 4


HERE = Path(__file__).parent / "pictures"


def main() -> None:
    """Draw all of them."""
    draw_nine()
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        hil(["calibrate", "threshold", "--out", str(where / "c.json")])
        shutil.copy(where / "c-threshold.png", HERE / "threshold.png")
        hil(["characterize", "--device", "figure2", "--out", str(where / "figure2")])
        shutil.copy(where / "figure2.png", HERE / "figure2.png")


@printed
def draw_nine() -> None:
    """Play a nine through the neuron with an oscilloscope on it, and draw what happened."""
    file, device = load_bench("mock"), load_device("nominal")
    captures: list[Capture] = []
    with MockBench(file, device, traces=True) as bench:
        curve = measure_transfer(bench, file.slot, VTH_V, full_scale=32, pulses_per_count=2_000)
        host = Recogniser(
            load_weights(),
            parse_physical("conv1"),
            file.slot,
            curve,
            DEFAULT_FULL_SCALE,
            Odometer(),
            keep=True,
            watch=captures.append,
        )
        images, _ = load_test()
        (answer,) = host.answers(bench, [(np.array([NINE]), images[NINE : NINE + 1])])
    figure = new_figure(8.4, 3.3)
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.05, 2.6, 1.7))
    digit = left.subplots()
    digit.imshow(images[NINE], cmap="gray_r")
    digit.set_title("a digit …")
    digit.set_axis_off()
    _draw_slots(middle, captures[0])
    maps = right.subplots(2, 1, height_ratios=(2, 1))
    maps[0].imshow(tiles(answer.kept["conv1"], 8))
    maps[0].set_title("… 25,088 neurons, all the same one …")
    maps[0].set_axis_off()
    logits = answer.logits - answer.logits.min()
    maps[1].bar(range(10), logits, color=["C1" if k == answer.answer else "gray" for k in range(10)])
    maps[1].set_xticks(range(10))
    maps[1].set_yticks([])
    maps[1].set_title(f"… a {answer.answer}")
    save_figure(figure, HERE / "picture.png", dpi=160)


def _draw_slots(figure: object, capture: Capture) -> None:
    """Four slots somewhere in the middle of the first shot, as the oscilloscope shows them."""
    busy = np.flatnonzero(capture.frame.pulses >= 12)
    first = int(busy[len(busy) // 3])
    start_s = float(capture.slot_s[:first].sum()) + 10e-6
    length_s = float(
        capture.slot_s[first : first + 40].cumsum()[capture.frame.played[first : first + 40]][SLOTS_SHOWN - 1]
    )
    axes = figure.subplots(4, 1, sharex=True)  # type: ignore[attr-defined]
    by_name: dict[str, Trace] = {t.name: t for t in capture.traces}
    for axis, name, colour in zip(
        axes, ("sync", "dendrite", "membrane", "axon"), ("gray", "C0", "C2", "C1"), strict=True
    ):
        trace = by_name[name]
        lo, hi = (int(t / trace.x_increment_s) for t in (start_s, start_s + length_s + 20e-6))
        axis.plot((trace.times_s[lo:hi] - start_s) * 1e6, trace.volts[lo:hi], color=colour, lw=0.7)
        axis.set_ylabel(f"{name}, V", fontsize=6.5)
        if name == "membrane":
            axis.axhline(VTH_V, color="black", ls=":", lw=0.8)
            axis.text(0, VTH_V, "V_th", va="bottom", fontsize=6)
    axes[0].set_title(f"… slot by slot through one memristor ({SLOTS_SHOWN} slots shown) …")
    axes[-1].set_xlabel("time, µs")


if __name__ == "__main__":
    main()
