"""Neo blocks, written as NWB or NIX: a segment a shot, the axon as SpikeTrain, the slots as epochs.

What a slot was (kernel, position, pulses, spikes) is annotated, which NIX keeps; Neo's NWB keeps labels alone, and so
they say it too. Spikes of a counter have no times: then there are epochs with their counts, and no train.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.durable import replacing
from drivers.errors import InputError
from hil.report.formats.played import Played, played_shots, wanted_shots
from hil.store.frozen import begun_at

if TYPE_CHECKING:
    from hil.store.runfile import RunFile


def to_block(
    run: RunFile, digits: Collection[int] | None = None, progress: Callable[[int, int], None] | None = None
) -> Any:
    """The run as a `neo.Block`; raises InputError without the extra."""
    try:
        import neo
    except ImportError as error:
        raise InputError("--to neo needs Neo: install it with `pip install 'memristive-hil[neo]'`") from error
    total = len(wanted_shots(run, digits))
    block = neo.Block(
        name=run.path.stem, description="axon spikes of one memristive neuron", rec_datetime=begun_at(run)
    )
    for number, shot in enumerate(played_shots(run, digits), start=1):
        block.segments.append(_segment(neo, shot, number))
        if progress is not None:
            progress(number, total)
    block.create_relationship()
    return block


def _segment(neo: Any, shot: Played, number: int) -> Any:
    import quantities as pq

    frame, key = shot.capture.frame, shot.capture.frame.key
    shift = shot.begin_s - shot.start_s
    segment = neo.Segment(
        name=f"shot {shot.row}",
        index=number,
        description=f"digit {key.image}, noise {key.noise} %, attempt {key.attempt}",
    )
    segment.annotate(image=key.image, noise_percent=key.noise, attempt=key.attempt, layer=int(frame.layer[0]))
    kept = shot.played
    about = {
        "slot": frame.first_slot + kept,
        "channel": frame.channel[kept],
        "position": frame.position[kept],
        "pulses": frame.pulses[kept],
        "spikes": shot.capture.spikes[kept],
        "ok": shot.capture.ok[kept].astype(np.int64),
    }
    segment.epochs.append(
        neo.Epoch(
            times=(shot.slots_s[:, 0] + shift) * pq.s,
            durations=(shot.slots_s[:, 1] - shot.slots_s[:, 0]) * pq.s,
            labels=np.array([_label(shot, i) for i in kept.tolist()], dtype="U"),
            name=f"slots of shot {shot.row}",
            array_annotations={name: np.asarray(values, dtype=np.int64) for name, values in about.items()},
        )
    )
    if shot.axon_s is not None:
        segment.spiketrains.append(_train(neo, shot, shift))
    return segment


def _label(shot: Played, slot: int) -> str:
    """`slot=94 channel=3 position=94 pulses=4 spikes=1`, or `spikes=?` where that is not trusted."""
    frame, capture = shot.capture.frame, shot.capture
    spikes = capture.spikes[slot] if capture.ok[slot] else "?"
    return (
        f"slot={frame.first_slot + slot} channel={frame.channel[slot]} position={frame.position[slot]} "
        f"pulses={frame.pulses[slot]} spikes={spikes}"
    )


def _train(neo: Any, shot: Played, shift: float) -> Any:
    """Every counted pulse, with the slot during which it rose, −1 for none."""
    import quantities as pq

    rises = shot.axon_s[:, 0] if shot.axon_s is not None else np.empty(0)
    at = np.searchsorted(shot.slots_s[:, 0], rises, side="right") - 1
    inside = (at >= 0) & (rises < shot.slots_s[np.maximum(at, 0), 1])
    slot = np.where(inside, shot.capture.frame.first_slot + shot.played[np.maximum(at, 0)], -1)
    return neo.SpikeTrain(
        (rises + shift) * pq.s,
        t_start=(shot.start_s + shift) * pq.s,
        t_stop=(shot.stop_s + shift) * pq.s,
        name=f"axon of shot {shot.row}",
        array_annotations={"slot": slot.astype(np.int64)},
    )


def to_neo(
    run: RunFile,
    path: Path,
    digits: Collection[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write NWB, or NIX where the name ends in .nix, through Neo; returns the spikes with a time. Raises InputError."""
    block = to_block(run, digits, progress)
    begun = begun_at(run)
    with replacing(path, "export") as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pynwb, about what is empty
        try:
            if path.suffix.lower() == ".nix":
                from neo.io import NixIO

                with NixIO(str(partial), mode="ow") as out:
                    out.write_block(block)
            else:
                from neo.io import NWBIO

                about = {"session_start_time": begun, "identifier": run.path.stem}
                NWBIO(str(partial), mode="w", **about).write_all_blocks([block])
        except ImportError as error:
            needed = "nixio" if path.suffix.lower() == ".nix" else "pynwb"
            raise InputError(f"{path} needs {needed}: install it with `pip install 'memristive-hil[neo]'`") from error
    return sum(len(train) for segment in block.segments for train in segment.spiketrains)
