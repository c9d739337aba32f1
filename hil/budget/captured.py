"""Digits as a bench with an oscilloscope records them, decoded again from their traces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from drivers.opening import make_bench
from hil.network.weights import load_weights
from hil.run.rereading import TraceReader
from hil.run.session import again, go_on
from hil.store import frozen

if TYPE_CHECKING:
    from hil.run.digits import DigitResult
    from hil.workers.portions import Part


def record_and_decode(part: Part) -> Iterator[DigitResult]:
    """The results of a part, pulse by pulse with traces, from a run file that is gone afterwards; for a crew."""
    config = part.config.model_copy(update={"fidelity": "pulses", "traces": True})
    weights = load_weights(config.weights_path)
    with TemporaryDirectory(prefix="hil-budget-") as folder, ExitStack() as stack:
        bench = stack.enter_context(
            make_bench(config.bench, config.device, seed=config.seed, fidelity="pulses", traces=True)
        )
        run = stack.enter_context(
            frozen.begin(
                Path(folder) / "run.sqlite", config.command, config, bench.identity, odometer=part.pulses_before
            )
        )
        for _ in go_on(run, config, weights, bench):
            pass
        reader = TraceReader(run, config.bench.spikes, config.bench.board, run.fact("tick_s"))
        wanted = {(noise, index) for noise in config.noise for index in config.images}
        for result, _ in again(run, config, weights, reader, wanted, strict=False):
            yield result
