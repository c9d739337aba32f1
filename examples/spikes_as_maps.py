"""A run as an xarray tree: where in the image the neuron spiked, and how many pulses each spike took."""

import matplotlib.pyplot as plt

from hil import open_run, recognise

with open_run(recognise("0:5", physical="conv1:0-3", out="five.sqlite")) as run:
    slots = run.to_xarray()["conv1"].to_dataset()

maps = slots.spikes.isel(noise=0).mean("channel")  # (image, row, column)
figure, axes = plt.subplots(1, maps.sizes["image"], layout="constrained", figsize=(10, 2.6))
for ax, image in zip(axes, maps.image.values, strict=True):
    shown = ax.imshow(maps.sel(image=image), cmap="viridis")
    ax.set(title=f"digit {image}", xticks=[], yticks=[])
figure.colorbar(shown, ax=axes, label="spikes a slot, mean of 4 kernels")
figure.savefig("maps.svg")
print(f"{float(slots.pulses.sum() / slots.spikes.sum()):.2f} pulses a spike")
