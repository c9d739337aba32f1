"""Other people's clients, unmodified, at work against the twin: an optional job (`make foreign`).

They live in an environment of their own: FOREIGN (default: `.foreign` beside the repository's files), a folder with a
virtual environment and node_modules. A test whose client is absent skips and says so. Without `-m foreign` none is run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pigpio
import pytest

from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.clock import TwinClock
from drivers.mock.ds4024.server import Reached, ScopeServer
from drivers.mock.loopback import check_free
from drivers.mock.pigpiod import PigpiodServer
from drivers.settings import Wiring

ROOT = Path(__file__).parents[2]
FOREIGN = Path(os.environ.get("FOREIGN", ROOT / ".foreign"))
WIRING = Wiring(dendrite=17, reset=24, sync=23, select=(25,))
JUMPER = (22, 27)  # what gpiozero's tests of real pins want wired together
PERIOD_US, HIGH_US = 1000, 200  # of what plays on sync all the while: channel 2
LONGEST_S = 100


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these out unless they are asked for."""
    if "foreign" not in (config.option.markexpr or ""):
        ours = [item for item in items if item.get_closest_marker("foreign")]
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]


@dataclass(frozen=True)
class Served:
    """Where the twin is."""

    pigpiod: PigpiodServer
    scope: ScopeServer
    board: Board
    pipes: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the clients read to find it."""
        core = self.scope.vxi11_resource.partition(",")[2].partition(":")[0]
        return os.environ | {
            "PIGPIO_ADDR": self.pigpiod.host,
            "PIGPIO_PORT": str(self.pigpiod.port),
            "SCOPE": self.scope.vxi11_resource,
            "CORE_PORT": core,
            "RAW": self.scope.socket_resource,
            "RAW_PORT": self.scope.socket_resource.split("::")[2],
            "NODE_PATH": str(FOREIGN / "node_modules"),
            "PYTHONWARNINGS": "ignore",
        }


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A twin on real time, with a pulse of 200 µs on sync every millisecond."""
    board = Board(load_device("ideal"), load_bench("mock").board, clock=TwinClock(paced=True))
    mapper = None if _unfree(111) else 111
    with (
        PigpiodServer(board, WIRING, pipes=tmp_path, jumpers=[JUMPER]) as pigpiod,
        ScopeServer(board, reached=Reached(0, mapper)) as scope,
    ):
        pi = pigpio.pi(pigpiod.host, pigpiod.port)
        for line in WIRING.lines():
            pi.write(line.pin, 0)
        sync = 1 << WIRING.sync
        pi.wave_add_generic([pigpio.pulse(sync, 0, HIGH_US), pigpio.pulse(0, sync, PERIOD_US - HIGH_US)])
        pi.wave_send_repeat(pi.wave_create())
        yield Served(pigpiod, scope, board, tmp_path)
        pi.stop()
        board.misuse.take()


def _unfree(port: int) -> bool:
    try:
        check_free(port, "portmapper", udp=True)
    except ValueError:
        return True
    return False


@pytest.fixture
def python(served: Served) -> Callable[[str, str], str]:
    """Run a program in the foreign environment if it has a module; its output."""
    interpreter = FOREIGN / "bin" / "python"
    interpreter = interpreter if interpreter.exists() else Path(sys.executable)

    def run(module: str, program: str) -> str:
        found = subprocess.run(
            [interpreter, "-c", f"import {module}"], capture_output=True, timeout=LONGEST_S, check=False
        )
        if found.returncode:
            pytest.skip(f"{module} is not installed in {FOREIGN}: make foreign")
        return done(served, [str(interpreter), "-c", textwrap.dedent(program)])

    return run


def done(served: Served, command: list[str], *, needs: str = "") -> str:
    """Run a command with the twin's addresses; its output. Skips where the program is absent."""
    if needs and shutil.which(needs) is None:
        pytest.skip(f"{needs} is not installed")
    ran = subprocess.run(
        command, env=served.environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
