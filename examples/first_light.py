"""Open a bench, set the threshold, play eight slots and count their spikes."""

from drivers import SlotTiming, open_bench, probe_frame

with open_bench("mock") as bench:
    volts = bench.set_threshold(0.7)
    print(f"V_th is {volts:.3f} V on {bench.identity['bench']}")
    for capture in bench.play([probe_frame("first light", SlotTiming(), [1, 2, 4, 8, 16, 32, 64, 128])]):
        for pulses, spikes, length_s in zip(capture.frame.pulses, capture.spikes, capture.slot_s, strict=True):
            print(f"{pulses:4d} pulses → {spikes:3d} spikes in {length_s * 1e6:6.0f} µs")
