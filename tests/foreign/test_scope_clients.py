"""Unmodified clients of the oscilloscope measure what plays on sync: 200 µs every millisecond, 3.3 V."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.foreign.conftest import Served, done

pytestmark = pytest.mark.foreign

Python = Callable[[str, str], str]
SETUP = (
    ":RUN",
    ":CHAN1:DISP OFF",
    ":CHAN2:DISP ON",
    ":CHAN2:PROB 10",
    ":CHAN2:SCAL 1",
    ":CHAN2:OFFS -2",
    ":TIM:SCAL 0.001",
    ":TRIG:EDGE:SOUR CHAN2",
    ":TRIG:EDGE:LEV 1.5",
)


def needs_portmapper(served: Served) -> None:
    if served.scope.mapped_port != 111:
        pytest.skip("port 111 is not to be had: root only, or somebody listens there")


def test_qcodes_driver_takes_a_trace(python: Python) -> None:
    program = """
        import json, os, time
        import numpy as np
        from qcodes.instrument_drivers.rigol import RigolDS4000
        scope = RigolDS4000("ds", os.environ["SCOPE"], visalib="@py")
        for line in %r:
            scope.write(line)
        channel = scope.channels.ch2
        channel.vertical_scale(1)
        idn = scope.get_idn()
        time.sleep(0.3)
        channel.curvedata.prepare_curvedata()
        v = np.asarray(channel.curvedata())
        high = v > (v.max() + v.min()) / 2
        print(json.dumps([idn["model"], int((high[1:] & ~high[:-1]).sum()), float(high.mean()), float(np.ptp(v))]))
    """
    model, rises, share, span_v = json.loads(python("qcodes", program % (SETUP,)).splitlines()[-1])
    assert model == "DS4024"
    assert rises in (13, 14, 15)  # 14 divisions of a millisecond
    assert 0.15 < share < 0.27
    assert 3.2 < span_v < 3.7


def test_python_vxi11_reads_a_block_and_takes_the_lock(served: Served, python: Python) -> None:
    needs_portmapper(served)
    program = """
        import json, time, vxi11
        one, other = vxi11.Instrument("127.0.0.1"), vxi11.Instrument("127.0.0.1")
        for line in %r:
            one.write(line)
        one.lock()
        try:
            other.timeout = other.lock_timeout = 0.1
            other.ask("*IDN?")
            locked = False
        except vxi11.vxi11.Vxi11Exception as error:
            locked = error.err
        one.unlock()
        time.sleep(0.3)
        one.write(":WAV:SOUR CHAN2"); one.write(":WAV:FORM BYTE"); one.write(":WAV:MODE NORM")
        block = one.ask_raw(b":WAV:DATA?")
        other.timeout = 10
        print(json.dumps([locked, other.ask("*IDN?"), len(block), max(block[11:-1]) - min(block[11:-1])]))
    """
    locked, idn, size, span = json.loads(python("vxi11", program % (SETUP,)))
    assert locked == 11
    assert idn.startswith("RIGOL TECHNOLOGIES,DS4024")
    assert size == 1400 + 12
    assert span > 90  # 3.3 V at 1 V a division of 32 codes


def test_pymeasure_measures(python: Python) -> None:
    program = """
        import json, os, time
        from pymeasure.instruments import Instrument
        class Scope(Instrument):
            frequency = Instrument.measurement(":MEAS:FREQ? CHAN2", "Hz")
            duty = Instrument.measurement(":MEAS:PDUT? CHAN2", "share")
            scale = Instrument.control(":CHAN2:SCAL?", ":CHAN2:SCAL %%g", "V a division")
        scope = Scope(os.environ["RAW"], "DS4024", visa_library="@py", read_termination="\\n", write_termination="\\n")
        for line in %r:
            scope.write(line)
        time.sleep(0.3)
        scope.scale = 2
        time.sleep(0.3)
        print(json.dumps([scope.id, scope.frequency, scope.duty, scope.scale]))
    """
    idn, hertz, _duty, scale = json.loads(python("pymeasure", program % (SETUP,)))
    assert "DS4024" in idn
    assert abs(hertz - 1000) < 30
    assert scale == 2


def test_easy_scpi_controls_by_attributes(python: Python) -> None:
    program = """
        import json, os, time
        import easy_scpi
        scope = easy_scpi.Instrument(
            port=os.environ["RAW"], port_match=False, backend="@py", read_termination="\\n", write_termination="\\n")
        scope.connect()
        for line in %r:
            scope.write(line)
        scope.channel2.scale(2)
        scope.timebase.main.scale(0.0005)
        time.sleep(0.3)
        answers = [scope.channel2.scale(), scope.timebase.main.scale(), scope.query(":MEAS:VMAX? CHAN2")]
        print(json.dumps([scope.id, *answers]))
    """
    idn, scale, base, most = json.loads(python("easy_scpi", program % (SETUP,)))
    assert "DS4024" in idn
    assert float(scale) == 2
    assert float(base) == 0.0005
    assert 3.0 < float(most) < 3.7


def test_pyvisa_py_reads_memory(python: Python) -> None:
    program = """
        import json, os, time
        import pyvisa
        scope = pyvisa.ResourceManager("@py").open_resource(os.environ["SCOPE"], open_timeout=5000, timeout=10000)
        for line in %r:
            scope.write(line)
        scope.write(":ACQ:MDEP 14000"); scope.write(":SING")
        for _ in range(100):
            time.sleep(0.05)
            if scope.query(":TRIG:STAT?").strip() == "STOP":
                break
        for line in (":WAV:SOUR CHAN2", ":WAV:FORM BYTE", ":WAV:MODE RAW", ":WAV:STAR 1", ":WAV:STOP 14000",
                     ":WAV:POIN 14000", ":WAV:RES", ":WAV:BEG"):
            scope.write(line)
        data = scope.query_binary_values(":WAV:DATA?", datatype="B")
        scope.write(":WAV:END")
        middle = (max(data) + min(data)) / 2
        print(json.dumps([len(data), sum(a <= middle < b for a, b in zip(data, data[1:]))]))
    """
    size, rises = json.loads(python("pyvisa_py", program % (SETUP,)))
    assert size == 14_000
    assert rises in (13, 14, 15)


def test_lxi_tools_ask_and_take_a_picture(served: Served, tmp_path: Path) -> None:
    port = served.environment["RAW_PORT"]
    command = ["lxi", "scpi", "--raw", "--address", "127.0.0.1", "--port", port]
    assert "DS4024" in done(served, [*command, "*IDN?"], needs="lxi")
    for line in SETUP:
        done(served, [*command, line])
    assert abs(float(done(served, [*command, ":MEAS:FREQ? CHAN2"])) - 1000) < 30
    speed = done(served, ["lxi", "benchmark", "--raw", "--address", "127.0.0.1", "--port", port, "--count", "50"])
    assert "requests/second" in speed
    needs_portmapper(served)
    assert "DS4024" in done(served, ["lxi", "scpi", "--address", "127.0.0.1", "*IDN?"])
    picture = tmp_path / "screen.bmp"
    done(served, ["lxi", "screenshot", "--address", "127.0.0.1", "--plugin", "rigol-2000", str(picture)])
    assert picture.read_bytes()[:2] == b"BM"
    assert picture.stat().st_size > 100_000


def test_sigrok_cli_finds_it_and_acquires(served: Served, tmp_path: Path) -> None:
    port = served.environment["RAW_PORT"]
    driver = ["sigrok-cli", "--driver", f"rigol-ds:conn=tcp-raw/127.0.0.1/{port}"]
    assert "DS4024" in done(served, [*driver, "--scan"], needs="sigrok-cli")
    for line in SETUP:
        if shutil.which("lxi"):
            done(served, ["lxi", "scpi", "--raw", "--address", "127.0.0.1", "--port", port, line])
    out = done(served, [*driver, "--channels", "CH2", "--frames", "1", "--output-format", "csv"])
    last = [line.split(",")[-1] for line in out.splitlines() if line and not line.startswith(";")]
    volts = [float(text) for text in last if re.fullmatch(r"-?[0-9.]+", text)]
    assert len(volts) == 1400
    middle = (max(volts) + min(volts)) / 2
    assert sum(a <= middle < b for a, b in pairwise(volts)) in (13, 14, 15)
