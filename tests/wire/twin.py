"""The whole twin behind a Pi bench that is composed from a bench file, as `hil run` does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from drivers.benchfile import BenchFile, load_bench
from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.ds4024.server import ScopeServer
from drivers.mock.pico import WIRING as PICO_WIRING
from drivers.mock.pico import PicoServer
from drivers.mock.pico.soldered import Pins
from drivers.mock.pigpiod import PigpiodServer
from drivers.mock.roughness import roughness
from drivers.pi import PiBench
from drivers.settings import Wiring

PIGPIO_WIRING = Wiring(dendrite=17, reset=27, sync=22, select=(23, 24, 25, 12))
AXON_PIN = 13


@contextmanager
def twin(
    source: str,
    reader: str,
    device: str = "ideal",
    channels: Mapping[str, int] | None = None,
    rough: float = 0.0,
    seed: int = 0,
    faults: Mapping[str, tuple[str, ...]] | None = None,
    sample_us: int = 1,
) -> Iterator[tuple[BenchFile, Board]]:
    """As `twin_and_scope`, without the oscilloscope."""
    with twin_and_scope(source, reader, device, channels, rough, seed, faults, sample_us) as (file, board, _):
        yield file, board


@contextmanager
def twin_and_scope(
    source: str,
    reader: str,
    device: str = "ideal",
    channels: Mapping[str, int] | None = None,
    rough: float = 0.0,
    seed: int = 0,
    faults: Mapping[str, tuple[str, ...]] | None = None,
    sample_us: int = 1,
) -> Iterator[tuple[BenchFile, Board, ScopeServer]]:
    """A bench file with this pulse source and axon reader over the twin, the board behind it, and its oscilloscope.

    `channels` of the oscilloscope; `faults` of each of board, pigpiod, scope, pico. Two readers are "gpio+scope";
    `sample_us` is how often pigpiod samples.
    """
    wrong = {"board": (), "pigpiod": (), "scope": (), "pico": (), **(faults or {})}
    wired = {"axon": 1, "sync": 3} if channels is None else dict(channels)
    settings = load_bench("mock").board
    board = Board(load_device(device), settings, seed=seed, rough=roughness(rough), faults=wrong["board"])
    listens = 14 if source == "pigpio" else None
    wiring = PICO_WIRING if source == "pico" else PIGPIO_WIRING
    with (
        PigpiodServer(board, PIGPIO_WIRING, faults=wrong["pigpiod"], axon_pin=AXON_PIN, sample_us=sample_us) as pigpiod,
        ScopeServer(board, channels=channels, faults=wrong["scope"]) as scope,
        PicoServer(board, pins=Pins(PICO_WIRING, sync=listens), faults=wrong["pico"]) as pico,
    ):
        pico.wait_until_up()
        yield (
            BenchFile.model_validate(
                {
                    **load_bench("mock").model_dump(exclude={"kind", "name"}),
                    "name": f"{source}+{reader}",
                    "kind": "pi",
                    "device": device,
                    "pulse_source": source,
                    "axon_reader": reader.split("+") if "+" in reader else reader,
                    "wiring": wiring.model_dump(),
                    "pigpio": {"host": pigpiod.host, "port": pigpiod.port},
                    "scope": {"resource": scope.vxi11_resource, "channels": wired},
                    "gpio": {"axon_pin": AXON_PIN},
                    "pico": {"port": pico.port, "heartbeat_timeout_s": 30.0},  # of a host on a busy machine
                    "threshold": {"source": "pico"},
                }
            ),
            board,
            scope,
        )


@contextmanager
def twin_bench(
    source: str,
    reader: str,
    device: str = "ideal",
    channels: Mapping[str, int] | None = None,
    rough: float = 0.0,
    seed: int = 0,
    faults: Mapping[str, tuple[str, ...]] | None = None,
    sample_us: int = 1,
) -> Iterator[tuple[PiBench, Board]]:
    """A PiBench over the twin, and the board behind it."""
    with (
        twin(source, reader, device, channels, rough, seed, faults, sample_us) as (file, board),
        PiBench(file, load_device(device)) as bench,
    ):
        yield bench, board
