"""Work that is shared out comes out the same, bit by bit, whoever did it; and what cannot be shared out is refused."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.errors import InputError
from hil.cli import main
from hil.run.digits import DigitResult
from hil.terminal.interrupt import held_back, ignore_all
from hil.workers.crew import Crew, Here, Processes, Watch
from hil.workers.portions import PART, Part, parts_of, recognise_part
from tests.hil.rig import DRIFTING, measured


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    """Four parts of a few digits, played on the neuron."""
    return parts_of(measured("0:8", noise=(0, 30, 40, 70), physical="conv1:0-3"))


def done_by(crew: Crew, parts: list[Part]) -> list[list[DigitResult]]:
    told: list[int] = []
    with crew:
        results = crew.work_off(recognise_part, parts, Watch(told.append))
    assert told == sorted(told)
    assert [[one.index for one in some] for some in results] == [list(range(8))] * 4
    assert [{one.noise for one in some} for some in results] == [{0}, {30}, {40}, {70}]
    return results


@pytest.fixture(scope="module")
def alone(parts: list[Part]) -> list[list[DigitResult]]:
    return done_by(Processes(1, ignore_all), parts)


@pytest.mark.parametrize("number", [2, 3])
def test_so_many_processes_do_the_same(number: int, parts: list[Part], alone: list[list[DigitResult]]) -> None:
    assert done_by(Processes(number, ignore_all), parts) == alone
    assert len({one.spikes for some in alone for one in some}) > 16  # digits that are not all alike


def test_a_cluster_does_the_same(parts: list[Part], alone: list[list[DigitResult]]) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    from hil.workers.cluster import Cluster

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp://", dashboard_address=None
    ) as cluster:
        assert done_by(Cluster(cluster.scheduler_address), parts) == alone


def test_where_nobody_answers_there_is_no_cluster() -> None:
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    from hil.workers.cluster import Cluster

    with pytest.raises(InputError, match=r"--cluster nowhere: no scheduler answers there"):
        Cluster("nowhere")


def test_without_the_extra_it_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    assert main(["evaluate", "--digits", "2", "--physical", "none", "--cluster", "tcp://10.0.0.7:8786"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1].endswith("--cluster tcp://10.0.0.7:8786: needs Dask: pip install 'memristive-hil[cluster]'")


def squares(until: int) -> Iterator[int]:
    for number in range(until):
        if number == 7:
            raise InputError("seven is refused")
        yield number * number


@pytest.mark.parametrize("crew", [Here, lambda: Processes(2, ignore_all)], ids=["here", "processes"])
def test_what_a_worker_raises_is_raised(crew: Callable[[], Crew]) -> None:
    with crew() as ours, pytest.raises(InputError, match="seven is refused"):
        ours.work_off(squares, [3, 9, 4], Watch())


def test_one_who_stops_keeps_what_is_done() -> None:
    told: list[int] = []
    with Here() as ours:
        assert ours.work_off(squares, [3, 6, 4], Watch(told.append, lambda: len(told) == 5)) == [[0, 1, 4], [0, 1], []]


def test_parts_are_the_same_for_any_number_of_digits(parts: list[Part]) -> None:
    config = parts[0].config.model_copy(update={"digits": f"3:{2 * PART + 10}", "noise": (0, 40)})
    images = [part.config.images for part in parts_of(config)]
    assert images == 2 * [range(3, PART + 3), range(PART + 3, 2 * PART + 3), range(2 * PART + 3, 2 * PART + 10)]


def test_a_device_that_drifts_is_not_shared_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = tmp_path / "drifting.toml"
    device.write_text(DRIFTING)
    how = ["evaluate", "--digits", "6", "--noise", "0,40", "--device", str(device), "--physical", "conv1:0", "--json"]
    for asked in (["--workers", "2"], ["--cluster", "tcp://10.0.0.7:8786"]):
        assert main([*how, *asked]) == 2
        assert f"{' '.join(asked)}: device 'drifting' drifts" in capsys.readouterr().err
    levels = []
    for more in ([], ["--workers", "1"], ["--out", str(tmp_path / "run.sqlite")]):
        assert main([*how, *more]) == 0
        levels.append(json.loads(capsys.readouterr().out)["levels"])
    assert levels[0] == levels[1] == levels[2]


def test_workers_hear_no_signal() -> None:
    with Processes(1, ignore_all) as ours:
        assert ours.work_off(handlers, [signal.SIGINT], Watch()) == [[True]]


def slow_to_listen() -> None:
    time.sleep(1.0)
    ignore_all()


def test_workers_that_are_being_started_hear_no_signal_either() -> None:
    """The first look at them is long before they listen."""
    told: list[int] = []

    def signalled(done: int) -> None:
        if not told and ours._pool is not None:
            for pid in ours._pool._processes:
                os.kill(pid, signal.SIGTERM)
        told.append(done)

    with Processes(1, slow_to_listen, held_back) as ours:
        assert ours.work_off(squares, [3], Watch(signalled)) == [[0, 1, 4]]
    assert len(told) > 1


def handlers(number: signal.Signals) -> Iterator[bool]:
    yield signal.getsignal(number) is signal.SIG_IGN
