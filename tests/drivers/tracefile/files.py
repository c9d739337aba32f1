"""Recordings written by hand, format by format, by nothing of ours: what oscilloscopes and sigrok save."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drivers.signals import Trace

_HEADER = 597  # bytes of a DS4000 file before its setup (RigolWFM's rigol_4000_wfm.ksy)
_SETUP = 600


def write_ds4000(
    path: Path, codes: Sequence[np.ndarray], *, v_per_div: float, offset_v: float, step_s: float, inverted: bool = False
) -> None:
    """A .wfm as a DS4024 saves it: volts = v_per_div / 32 · (code − 127) − offset_v, downwards where inverted."""
    points = len(codes[0])
    start = _HEADER + _SETUP
    positions = [start + i * points if i < len(codes) else 0 for i in range(4)]
    channels = b"".join(
        struct.pack("<8BffBBBBII", i < len(codes), 0, 0, 0, 6, 0, 0, 1, v_per_div, offset_v, inverted, 2, 0, 0, 0, 0)
        for i in range(4)
    )
    mask = sum(1 << i for i in range(len(codes)))
    parts = [
        struct.pack("<4s20s20s5I", b"\xa5\xa5\x38\x00", b"DS4024", b"00.02.03", *[0] * 5),
        struct.pack("<B3x4I4IfIQ2I", mask, *positions, 0, 0, 0, points, 1 / step_s, 0, 10**9, 0, 0),
        channels,
        struct.pack("<6II4xI9I", *[0] * 6, points, points, *[0] * 9),
        struct.pack("<2I41II4IB27x", points, points, *[0] * 41, points, *[0] * 4, 0),
        struct.pack("<H10xII4xQ8xqQ16xHB", 0, 0, 10**9, 0, 0, 0, 0, 0),
    ]
    head = b"".join(parts)
    path.write_bytes(head.ljust(start, b"\x00") + b"".join(np.asarray(c, dtype=np.uint8).tobytes() for c in codes))


def write_csv(path: Path, traces: Sequence[Trace], style: str = "sequence") -> None:
    """RIGOL's CSV as a DS4000 writes it, or as a DS1000E, an MSO5000, or UltraScope does."""
    names = [f"CH{i}" for i in range(1, len(traces) + 1)]
    first, step = traces[0].x_origin_s, traces[0].x_increment_s
    times = [f"{t:.9e}" for t in traces[0].times_s]
    volts = list(zip(*([f"{v:.6e}" for v in trace.volts] for trace in traces), strict=True))
    heads = {
        "sequence": f"X,{','.join(names)},Start,Increment,\nSequence,{'Volt,' * len(names)}{first:.9e},{step:.9e},\n",
        "second": f"X,{','.join(names)},\nSecond,{'Volt,' * len(names)}\n",
        "mso5000": f"{','.join(f'{n}V' for n in names)},t0 ={first:.9e}s, tInc = {step:.9e}s,\n",
        "spaced": f"X,{','.join(f'{n[:2]} {n[2:]} (V)' for n in names)}\n",
        "ultrascope": f'sep=,\n"Number of Data points =",{len(times)},,\n"Channel Data",'
        + ",".join(f'"{n[:2]} {n[2:]}"' for n in names)
        + ',\n"Time (s)",'
        + '"Voltage (V)",' * len(names)
        + "\n",
    }
    index = {"sequence": [str(i) for i in range(len(times))], "mso5000": None}.get(style, times)
    rows = (",".join([*([index[i]] if index else []), *row]) + ",\n" for i, row in enumerate(volts))
    path.write_text(heads[style] + "".join(rows) + ("" if style == "sequence" else ",,\n"), encoding="utf-8")


def write_sr(
    path: Path, analog: dict[str, np.ndarray], logic: dict[str, np.ndarray], rate: str, *, chunk: int = 10_000
) -> None:
    """A session as sigrok 0.6 writes it (https://sigrok.org/wiki/File_format:Sigrok/v2), in chunks."""
    size = max(1, -(-len(logic) // 8))
    lines = ["[global]", "sigrok version=0.6.0", "", "[device 1]"]
    lines += ["capturefile=logic-1", f"total probes={len(logic)}"] if logic else []
    lines += [f"samplerate={rate}", f"total analog={len(analog)}"]
    lines += [f"probe{i}={name}" for i, name in enumerate(logic, start=1)]
    lines += [f"analog{len(logic) + i}={name}" for i, name in enumerate(analog, start=1)]
    lines += [f"unitsize={size}"] if logic else []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("version", "2")
        out.writestr("metadata", "\n".join(lines) + "\n")
        for i, values in enumerate(analog.values(), start=len(logic) + 1):
            for n, start in enumerate(range(0, len(values), chunk), start=1):
                out.writestr(f"analog-1-{i}-{n}", values[start : start + chunk].astype("<f4").tobytes())
        if logic:
            words = sum(high.astype(np.uint64) << np.uint64(i) for i, high in enumerate(logic.values()))
            raw = np.asarray(words, dtype="<u8").view(np.uint8).reshape(-1, 8)[:, :size]
            for n, start in enumerate(range(0, len(raw), chunk), start=1):
                out.writestr(f"logic-1-{n}", raw[start : start + chunk].tobytes())
