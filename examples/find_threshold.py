"""Find the V_th at which the neuron takes four pulses a spike, and what it costs to know."""

from calibration import Sweep, measure_threshold
from drivers import SlotTiming, open_bench

with open_bench("mock") as bench:
    found = measure_threshold(Sweep(bench, SlotTiming(), "find threshold"), limits_v=(0.2, 2.0), target=4.0)

print(f"V_th {found.vth_v:.3f} V gives {found.gain.shown()} pulses a spike")
print(f"it fires by itself below {found.window.lower_v.shown('V')} and never above {found.window.upper_v.shown('V')}")
print(f"{found.pulses_spent:,} pulses, {found.bench_s:.1f} s of bench time")
