from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.claims import claim, claims_folder
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
