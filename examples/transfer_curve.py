"""Measure the transfer curve, pulses in → spikes out, and draw it with its spread."""

import matplotlib.pyplot as plt

from calibration import measure_transfer
from drivers import SlotTiming, open_bench

with open_bench("mock") as bench:
    curve = measure_transfer(bench, SlotTiming(), 0.7, full_scale=32)

figure, axes = plt.subplots(layout="constrained")
axes.errorbar(curve.pulses, curve.mean_spikes, curve.sd_spikes, fmt=".", capsize=2)
axes.set(xlabel="dendrite pulses in a slot", ylabel="axon spikes in the slot", title=f"{curve.timing_key}, 0.7 V")
figure.savefig("transfer.svg")
print(f"{curve.pulses_spent:,} pulses spent; 32 pulses give {curve.mean_spikes[-1]:.2f} spikes on average")
