"""Recognise twenty digits with the first layer on the neuron, and tell which were hard."""

from hil import open_run, recognise

with open_run(recognise("0:20", out="twenty.sqlite")) as run:
    results = run.results()

right = sum(result.correct for result in results)
print(f"{right} of {len(results)} right for {sum(result.pulses for result in results):,} pulses")
for result in sorted(results, key=lambda result: result.confidence)[:3]:
    print(f"digit {result.index}: {result.answer} with {result.confidence:.1%}, was {result.label}")
