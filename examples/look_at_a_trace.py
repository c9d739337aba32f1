"""Draw what the oscilloscope saw of one recorded shot: axon over sync, with the spikes that were counted."""

import matplotlib.pyplot as plt

from hil import open_run, recognise

path = recognise("7", physical="conv1:0", traces=True, out="one.sqlite")
with open_run(path) as run:
    capture = next(run.captures())

traces = {trace.name: trace for trace in capture.traces}
figure, axes = plt.subplots(2, sharex=True, layout="constrained")
for ax, name in zip(axes, ("sync", "axon"), strict=True):
    trace = traces[name]
    begin = trace.times_s < 2e-3
    ax.plot(trace.times_s[begin] * 1e3, trace.volts[begin], linewidth=0.8)
    ax.set(ylabel=f"{name} (V)")
axes[-1].set(xlabel="time from the trigger (ms)")
figure.savefig("trace.svg")
print(
    f"{capture.spikes.sum()} spikes in {capture.frame.played.sum()} played slots, {len(traces['axon'].codes):,} samples"
)
