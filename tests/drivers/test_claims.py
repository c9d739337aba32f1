from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.claims import LENT, claim, claims_folder, hold_and_lend
from drivers.errors import BusyError, InputError

HOLD = """
import sys, time
from drivers.claims import claim
held = claim(sys.argv[1:], "run of digits 0:10")
print("held", flush=True)
time.sleep(60)
"""


def test_the_second_is_told_who_has_it_and_a_killed_holder_lets_go() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, "pigpiod a:8888"], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(BusyError, match=rf"pigpiod a:8888 is in use by run of digits 0:10 \(process {other.pid}, "):
            claim(["pigpiod a:8888", "scope b"], "test")
        claim(["scope b"], "test").close()  # the refused one holds nothing
        other.send_signal(signal.SIGKILL)
    claim(["pigpiod a:8888"], "test").close()


def test_what_was_let_go_can_be_had_again() -> None:
    for _ in range(2):
        with claim(["port /dev/ttyACM0", "port /dev/ttyACM0", "device die7"], "test"):
            pass


def test_any_name_is_one_file_in_the_folder() -> None:
    with claim(["../../etc/x y", "TCPIP0::1.2.3.4::INSTR"], "test"):
        names = [path.name for path in claims_folder().iterdir() if "etc" in path.name or "TCPIP" in path.name]
    assert len(names) == 2
    assert not any("/" in name or " " in name for name in names)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path))
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "hil-bus.lock").symlink_to(victim)
    with pytest.raises(InputError, match=r"hil-bus\.lock cannot be opened"):
        claim(["bus"], "test")
    assert victim.read_text() == "precious"


@pytest.mark.skipif(os.name != "posix", reason="umask is POSIX")
def test_other_users_may_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path))
    before = os.umask(0o077)
    try:
        claim(["bus"], "test").close()
    finally:
        os.umask(before)
    assert (tmp_path / "hil-bus.lock").stat().st_mode & 0o777 == 0o666


TAKE = """
import sys
from drivers.claims import claim
from drivers.errors import BusyError
try:
    with claim(sys.argv[1:], "a step"):
        print("had it")
except BusyError as error:
    print(error)
"""


def take(*resources: str, locks: tuple[int, ...] = ()) -> str:
    """What a program says that wants these."""
    command = [sys.executable, "-c", TAKE, *resources]
    return subprocess.run(command, capture_output=True, text=True, check=True, pass_fds=locks).stdout.strip()


def test_what_is_held_throughout_is_lent_to_one_step_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["port /dev/ttyACM0", "device die7"]
    with hold_and_lend(wanted, "all steps") as locks:
        for _ in range(2):
            assert take(*wanted, locks=locks) == "had it"
            with claim(wanted, "a step of my own"):
                assert "in use by all steps (process" in take(wanted[0], locks=locks), "two steps have it at once"
        assert "in use by all steps" in take(wanted[0]), "a program that was not lent it has it"
        with monkeypatch.context() as stranger:
            stranger.delenv(LENT)
            assert "in use by all steps" in take(wanted[1], locks=locks)
    assert LENT not in os.environ
    assert take(*wanted) == "had it"


def test_nobody_lends_what_is_not_his(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment may say anything: what counts is who holds the lock."""
    with claim(["bus"], "test"):
        other = (tmp_path / "other").open("w")
        for fd in (other.fileno(), 9999, "x"):
            monkeypatch.setenv(LENT, f'{{"bus": {fd!r}}}'.replace("'", '"'))
            assert "bus is in use by test" in take("bus", locks=(other.fileno(),))
        lock = next(path for path in claims_folder().iterdir() if path.name == "hil-bus.lock")
        with lock.open("r+") as mine:
            monkeypatch.setenv(LENT, f'{{"bus": {mine.fileno()}}}')
            assert "bus is in use by test" in take("bus", locks=(mine.fileno(),))
        other.close()


def test_a_folder_for_locks_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"folder for locks, .*none, is not there: make it"), claim(["bus"], "test"):
        pass
