"""The front door for notebooks: recognise digits on a bench, and look at what was recorded.

Both names are handed out by `hil` itself: `from hil import open_run, recognise`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.record import load_record
from drivers.benchfile import load_bench
from drivers.device import load_device
from hil.network.weights import load_weights
from hil.report.xarrays import to_xarray
from hil.run.config import RunConfig
from hil.run.opening import open_measured
from hil.run.replay import Replay, replay
from hil.run.session import begin, config_of, go_on, results_of
from hil.store.runfile import RunFile

if TYPE_CHECKING:
    import xarray as xr

    from drivers.signals import Capture
    from hil.run.digits import DigitResult


class Recording:
    """A run file, open for reading; a context manager."""

    def __init__(self, run: RunFile) -> None:
        self._run = run

    @property
    def config(self) -> RunConfig:
        """Everything that was frozen when the run began."""
        return config_of(self._run)

    def results(self) -> list[DigitResult]:
        """A result a digit, by noise and index."""
        return results_of(self._run)

    def captures(self, *, traces: bool = True) -> Iterator[Capture]:
        """Every recorded shot in the order it was taken, retakes included, with its oscilloscope traces or without.

        Raises DamagedShotError at a shot that fails its checksum.
        """
        for shot in self._run.shot_ids():
            yield self._run.load(shot, None if traces else ())

    def to_xarray(self, digits: Sequence[int] | None = None) -> xr.DataTree:
        """See `hil.report.xarrays.to_xarray`."""
        return to_xarray(self._run, digits)

    def replay(self, changes: Sequence[str] = ()) -> Replay:
        """Decode the recorded digits again, with `changes` such as "spikes.threshold_v=0.9"; see `hil replay`.

        Raises InputError for a change that there is not, RunFileError when the file is damaged or lacks a shot.
        """
        return replay(self._run, changes=changes)

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._run.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_run(path: str | Path) -> Recording:
    """Open a run file for reading, also while it is being written; raises RunFileError."""
    return Recording(RunFile.open(Path(path)))


def recognise(
    digits: str = "0:10",
    bench: str = "mock",
    *,
    physical: str = "conv1",
    calibration: str | Path | None = None,
    traces: bool = False,
    seed: int = 0,
    out: str | Path | None = None,
) -> Path:
    """Recognise test digits on a bench as `hil run` does, with every shot recorded; returns the run file's path.

    `digits` is `a:b` or one index, `bench` a name or a bench file, `physical` what is played on the neuron, `out` the
    run file (default: a new one under runs/), `traces` asks the mock bench for oscilloscope traces too. Without a
    `calibration` the mock bench measures its transfer curve on the spot. Raises HilError; what was played until then
    is in the run file, and `hil resume` goes on with it.
    """
    file, weights = load_bench(bench), load_weights()
    record = str(calibration) if calibration is not None else file.calibration
    config = RunConfig(
        command="run",
        digits=digits,
        physical=physical,
        seed=seed,
        vth_v=load_record(Path(record)).vth_v if record else file.vth_v,
        timing=file.slot,
        bench=file,
        device=load_device(file.device),
        traces=traces,
        weights_digest=weights.digest,
        coding="whole",
    )
    with ExitStack() as stack:
        opened, config = open_measured(config, stack, record)
        sources = {"bench": bench, "device": file.device, "calibration": record or None}
        identity = opened.identity if opened is not None else {}
        run = stack.enter_context(begin(Path(out) if out is not None else None, config, identity, sources))
        for _ in go_on(run, config, weights, opened):
            pass
        run.add_event("complete", "")
    return run.path
