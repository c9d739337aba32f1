"""Unmodified clients of pigpiod, each at work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.foreign.conftest import FOREIGN, Served, done

pytestmark = pytest.mark.foreign

Python = Callable[[str, str], str]


def pigs(served: Served, text: str) -> str:
    """What Debian's pigs says."""
    return done(served, ["pigs", *text.split()], needs="pigs").strip()


def test_pigs_makes_waves_scripts_and_serial_data(served: Served) -> None:
    assert pigs(served, "pigpv") == "79"
    assert pigs(served, "pfs 5 1000 p 5 128 gdc 5").splitlines() == ["1000", "128"]
    assert pigs(served, "m 6 w w 6 1 r 6 w 6 0 r 6").splitlines() == ["1", "0"]
    script = pigs(served, "proc lda p0 add 5 sta p1")
    time.sleep(0.2)
    pigs(served, f"procr {script} 37")
    time.sleep(0.3)
    assert pigs(served, f"procp {script}").split()[:3] == ["1", "37", "42"]
    pigs(served, "m 13 w w 13 1 slro 13 9600 8")
    pigs(served, "wvclr")
    assert int(pigs(served, "wvas 13 9600 8 2 0 104 105")) > 0
    pigs(served, f"wvtx {pigs(served, 'wvcre')}")
    heard: list[str] = []
    for _ in range(100):  # on a busy machine the twin's time is slow
        heard += pigs(served, "slr 13 10").split()[1:]
        if len(heard) >= 2:
            break
        time.sleep(0.1)
    assert heard == ["104", "105"]


def test_pig2vcd_writes_what_moves(served: Served) -> None:
    """As its manual says: notifications by a pipe, made into a VCD file."""
    if shutil.which("pig2vcd") is None:
        pytest.skip("pig2vcd is not installed")
    handle = pigs(served, "no")
    with (served.pipes / f"pigpio{handle}").open("rb") as pipe:
        running = subprocess.Popen(["pig2vcd"], stdin=pipe, stdout=subprocess.PIPE, text=True)
        pigs(served, "pfs 5 100 p 5 128")
        pigs(served, f"nb {handle} {1 << 5 | 1 << 23}")
        time.sleep(1.0)
        pigs(served, f"nc {handle}")
        text, _ = running.communicate(timeout=60)
    assert "$enddefinitions" in text
    changes = [line[1:] for line in text.splitlines() if line[:1] in "01" and line[1:2].isalpha()]
    counts = {name: changes.count(name) for name in set(changes)}
    fast, slow = sorted(counts.values(), reverse=True)[:2]
    assert 1_500 < fast < 3_000  # sync: 2 edges a millisecond
    assert 150 < slow < 300  # the PWM: 200 a second


def test_gpiozero_drives_and_hears_pins(python: Python) -> None:
    program = """
        import json, time
        from gpiozero import Button, LED, PWMLED, Servo
        from gpiozero.pins.pigpio import PiGPIOFactory
        factory = PiGPIOFactory()
        led, button = LED(22, pin_factory=factory), Button(27, pull_up=False, pin_factory=factory)
        heard = []
        button.when_pressed = lambda: heard.append(1)
        button.when_released = lambda: heard.append(0)
        for _ in range(5):
            led.on(); time.sleep(0.1); led.off(); time.sleep(0.1)
        dim = PWMLED(5, pin_factory=factory); dim.value = 0.25
        servo = Servo(6, pin_factory=factory); servo.mid()
        time.sleep(0.2)
        print(json.dumps([heard, dim.value, servo.value, factory.board_info.model]))
    """
    heard, dim, servo, model = json.loads(python("gpiozero", program))
    assert heard == [1, 0] * 5
    assert abs(dim - 0.25) < 0.02
    assert abs(servo) < 0.01
    assert model == "4B"


def test_gpiozeros_own_tests_of_its_pigpio_factory(served: Served, tmp_path: Path) -> None:
    """GPIOZERO: the folder of its sources; 22 and 27 are wired. Its conftest is not among them: 4 are left out."""
    source = Path(os.environ.get("GPIOZERO", FOREIGN / "gpiozero")) / "tests" / "test_real_pins.py"
    if not source.exists():
        pytest.skip(f"{source} is not there: give GPIOZERO, the folder of gpiozero's sources")
    interpreter = FOREIGN / "bin" / "python"
    program = str(interpreter) if interpreter.exists() else sys.executable
    select = ["-c", os.devnull, "--rootdir", str(source.parent), "-k", "pigpio and not factory"]
    out = done(served, [program, "-m", "pytest", "-q", "-p", "no:cacheprovider", *select, str(source)])
    assert " failed" not in out
    assert int(out.split(" passed")[0].split()[-1]) >= 12


def test_the_python_module_hears_a_wave(python: Python) -> None:
    program = """
        import json, time
        import pigpio
        pi = pigpio.pi()
        heard = []
        call = pi.callback(27, pigpio.EITHER_EDGE, lambda pin, level, tick: heard.append((level, tick)))
        pi.write(22, 0)
        pi.wave_clear()
        pi.wave_add_generic([pigpio.pulse(1 << 22, 0, 500), pigpio.pulse(0, 1 << 22, 1500)] * 20)
        pi.wave_send_once(pi.wave_create())
        time.sleep(0.5)
        call.cancel()
        ticks = [tick for level, tick in heard if level == 1]
        print(json.dumps([len(heard), sorted({b - a for a, b in zip(ticks, ticks[1:])})]))
        pi.stop()
    """
    count, periods = json.loads(python("pigpio", program))
    assert count == 40
    assert all(abs(period - 2000) <= 5 for period in periods)


def test_npms_pigpio_client_reads_writes_and_is_notified(served: Served, tmp_path: Path) -> None:
    if shutil.which("node") is None or not (FOREIGN / "node_modules" / "pigpio-client").is_dir():
        pytest.skip("node, or pigpio-client in node_modules, is absent: make foreign")
    program = """
        const client = require('pigpio-client');
        const pi = client.pigpio({host: process.env.PIGPIO_ADDR, port: +process.env.PIGPIO_PORT});
        pi.once('connected', async (info) => {
          const out = pi.gpio(22), heard = [], input = pi.gpio(27);
          await out.modeSet('output'); await input.modeSet('input'); await out.write(0);
          input.notify((level, tick) => heard.push(level));
          for (let k = 0; k < 3; k++) {
            await out.write(1); await new Promise(r => setTimeout(r, 50));
            await out.write(0); await new Promise(r => setTimeout(r, 50));
          }
          await out.waveClear();
          await out.waveAddPulse([[1, 0, 1000], [0, 1, 1000]]);
          const id = await out.waveCreate();
          await out.waveSendOnce(id);
          await new Promise(r => setTimeout(r, 300));
          await out.setServoPulsewidth(1500);
          const width = await out.getServoPulsewidth();
          console.log(JSON.stringify([heard, width, await out.read() >= 0]));
          process.exit(0);
        });
        pi.on('error', (e) => { console.error(e); process.exit(1); });
    """
    script = tmp_path / "client.js"
    script.write_text(program, encoding="utf-8")
    heard, width, read = json.loads(done(served, ["node", str(script)]).splitlines()[-1])
    assert heard[:8] == [1, 0] * 4
    assert width == 1500
    assert read


def test_ten_clients_at_once_do_not_disturb_each_other(served: Served) -> None:
    """Debian's pigs, ten times, each with a script of its own."""
    if shutil.which("pigs") is None:
        pytest.skip("pigs is not installed")
    results: dict[int, list[str]] = {}

    def one(k: int) -> None:
        script = pigs(served, f"proc lda p0 mlt {k} sta p1")
        time.sleep(0.2)
        pigs(served, f"procr {script} 11")
        time.sleep(0.5)
        results[k] = pigs(served, f"procp {script}").split()[:3]

    threads = [threading.Thread(target=one, args=(k,)) for k in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {k: ["1", "11", str(11 * k)] for k in range(10)}
