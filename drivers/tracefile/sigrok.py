"""sigrok sessions, .sr: a ZIP of `version`, `metadata`, logic samples and one file of floats an analog channel.

Format of version 2 (https://sigrok.org/wiki/File_format:Sigrok/v2): `logic-1-1`, `logic-1-2`, … hold `unitsize` bytes a
sample, probe 1 in bit 0; `analog-1-N-1`, … hold single precision, N counting on from the logic probes.
"""

from __future__ import annotations

import configparser
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivers.errors import InputError
from drivers.signals import Trace
from drivers.tracefile.codes import Coded, from_volts, of_logic
from drivers.tracefile.recording import SAMPLES_MOST, Recording, check_length, unlike_lengths

_METADATA_MOST = 1 << 20
_RATE = re.compile(r"([\d.]+)\s*([kMG]?)\s*Hz", re.IGNORECASE)
_PREFIX = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}


def read_sigrok(path: Path) -> Recording:
    """The channels of a session's first device; raises InputError."""
    try:
        with zipfile.ZipFile(path) as session:
            return _read(path, session)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} is no sigrok session that can be read: {error}") from error


def _read(path: Path, session: zipfile.ZipFile) -> Recording:
    device = _device(path, session)
    found = _RATE.fullmatch(device.get("samplerate", "").strip())
    if found is None:
        raise InputError(f"{path}: its samplerate is {device.get('samplerate', '')!r}, expected as in '1 MHz'")
    step_s = 1 / (float(found.group(1)) * _PREFIX[found.group(2).lower()])
    said: list[str] = []
    coded: dict[str, Coded] = dict(_logic(path, session, device))
    if coded:
        said.append(f"{path.name}: logic channels are taken as 0 V and 3.3 V")
    for name, volts in _analog(path, session, device):
        coded[name] = from_volts(volts, name)
        said += [coded[name].said] if coded[name].said else []
    if not coded:
        raise InputError(f"{path} holds no samples")
    unlike_lengths(path, [len(one.codes) for one in coded.values()])
    traces = (
        Trace(name, one.codes, one.increment_v, one.origin, 0, step_s, 0.0, {"file": path.name})
        for name, one in coded.items()
    )
    return Recording(path, tuple(traces), tuple(said))


def _device(path: Path, session: zipfile.ZipFile) -> configparser.SectionProxy:
    names = session.namelist()
    if "version" not in names or "metadata" not in names:
        raise InputError(f"{path} is no sigrok session: it lacks version or metadata")
    version = session.read("version").strip()
    if version != b"2":
        raise InputError(f"{path} is a sigrok session of version {version[:8].decode('ascii', 'replace')}, not 2")
    if session.getinfo("metadata").file_size > _METADATA_MOST:
        raise InputError(f"{path}: its metadata have {session.getinfo('metadata').file_size:,} bytes")
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(session.read("metadata").decode("utf-8", "replace"))
    except configparser.Error as error:
        raise InputError(f"{path}: its metadata cannot be read: {' '.join(str(error).split())}") from error
    if not parser.has_section("device 1"):
        raise InputError(f"{path} has no device 1")
    return parser["device 1"]


def _whole(path: Path, device: configparser.SectionProxy, key: str, otherwise: int) -> int:
    said = device.get(key, str(otherwise)).strip()
    if not said.isdecimal() or len(said) > 6:
        raise InputError(f"{path}: {key} = {said[:20]!r} in its metadata is no small number")
    return int(said)


def _chunks(session: zipfile.ZipFile, stem: str) -> Iterator[str]:
    """`stem`, or `stem-1`, `stem-2`, …"""
    held = set(session.namelist())
    if stem in held:
        yield stem
    number = 1
    while f"{stem}-{number}" in held:
        yield f"{stem}-{number}"
        number += 1


def _joined(path: Path, session: zipfile.ZipFile, stem: str, size: int) -> bytes:
    """All samples of `size` bytes, one chunk after the other."""
    chunks = list(_chunks(session, stem))
    total = sum(session.getinfo(chunk).file_size for chunk in chunks)
    if total:
        check_length(path, total // size)
    if total > SAMPLES_MOST or total % size:
        raise InputError(f"{path}: {stem} has {total:,} bytes, expected a multiple of {size}, at most {SAMPLES_MOST:,}")
    return b"".join(session.read(chunk) for chunk in chunks)


def _logic(path: Path, session: zipfile.ZipFile, device: configparser.SectionProxy) -> Iterator[tuple[str, Coded]]:
    probes = _whole(path, device, "total probes", 0)
    if not probes or "capturefile" not in device:
        return
    size = _whole(path, device, "unitsize", (probes + 7) // 8)
    if not 1 <= size <= 8 or probes > 8 * size:
        raise InputError(f"{path}: {probes} probes do not fit unitsize = {size}")
    raw = np.frombuffer(_joined(path, session, device["capturefile"], size), dtype=np.uint8).reshape(-1, size)
    for probe in range(1, probes + 1):
        name = device.get(f"probe{probe}")
        if name and len(raw):
            high: NDArray[np.bool_] = (raw[:, (probe - 1) // 8] >> ((probe - 1) % 8) & 1).astype(np.bool_)
            yield name, of_logic(high)


def _analog(
    path: Path, session: zipfile.ZipFile, device: configparser.SectionProxy
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    keys = sorted(int(key[6:]) for key in device if re.fullmatch(r"analog\d{1,6}", key))
    for number in keys:
        raw = _joined(path, session, f"analog-1-{number}", 4)
        if raw:
            yield device[f"analog{number}"], np.frombuffer(raw, dtype="<f4")
