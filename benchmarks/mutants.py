"""Do the tests of a module notice when it is wrong? Mutants by cosmic-ray, of ten modules on which numbers depend.

    python -m benchmarks.mutants [--sample 40] [--seed 1] [--module slots] [--workers 2]    (needs the extra `mutants`)

Of each module a seeded sample is tried (`--sample 0`: all, which takes hours) in copies of this checkout, with that
module's own tests; which mutants are tried does not depend on how many workers try them. A mutant that survives is a
gap, unless benchmarks/mutants.toml says why it is no other program. Ends with code 1 where a tenth or more of those
tried are gaps.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cosmic_ray.work_item import MutationSpec

ROOT = Path(__file__).parents[1]
# Of each module the tests that notice most in no time, then all of its own for what is left.
TESTS = {
    "calibration/sentinel.py": (
        "tests/calibration/test_sentinel.py",
        "not rarely and not real_frame and not few_frames",
    ),
    "calibration/transfer.py": (
        "tests/calibration/test_transfer.py tests/calibration/test_plausible.py",
        "hand or beyond or decoding or grid or often or mixed or record or measuring or stretch or dips",
    ),
    "drivers/pigpio/waves.py": ("tests/drivers/pigpio/test_waves.py", "not play_the_planned and not dead_host"),
    "hil/network/encode.py": ("tests/hil/network/test_encode.py", "hand or gains or thousandth or slots or frame"),
    "firmware/protocol.py": (
        "tests/firmware/test_protocol.py",
        "hand or document or carry or largest or limits or no_reply",
    ),
    "drivers/wear/passport.py": ("tests/drivers/wear/test_passport.py", ""),
    "hil/store/runfile.py": (
        "tests/hil/store/test_runfile.py tests/hil/store/test_recording.py",
        "not disk_that and not one_name and not flipped and not bit_ and not disk_takes",
    ),
    "drivers/decode/spikes.py": ("tests/drivers/decode", "test_spikes"),
    "drivers/decode/slots.py": ("tests/drivers/decode", "test_slots"),
    "drivers/decode/schmitt.py": ("tests/drivers/decode", "test_schmitt"),
}
COPIED = ("hil", "drivers", "calibration", "firmware", "tests", "examples", "pyproject.toml", "benchmarks", "docs")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")
# What changes no behaviour: annotations are not evaluated (PEP 563), so `int | None` may become anything.
MEANINGLESS = ("core/ReplaceBinaryOperator_BitOr", "core/AddNot_Assert")
LOADED = ("numpy", "scipy.optimize", "scipy.stats", "hypothesis.strategies", "pydantic", "rich.progress", "safetensors")
LOADED_ALREADY = "ignore::pytest.PytestAssertRewriteWarning"  # so pytest does not explain its assertions
LIMIT_S = 300.0  # for the tests of one mutant
MOST_GAPS = 0.1
PART = 10  # mutants that a worker tries before it takes others


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed: where, and the line as it was."""

    module: str
    operator: str
    line: int
    text: str

    def accepted(self, known: list[dict[str, str]]) -> str:
        """Why it is no other program; empty where nobody has said so."""
        for one in known:
            if (one["module"], one["line"], one["operator"]) == (self.module, self.text, self.operator):
                return one["reason"]
        return ""


def tried(module: str, sample: int, seed: int, part: int) -> tuple[str, int, list[Survivor]]:
    """A module, how many mutants of it were tried in this part of the sample, and which survived."""
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            source, copy = ROOT / name, Path(folder) / name
            shutil.copytree(source, copy, ignore=LEFT_OUT) if source.is_dir() else shutil.copyfile(source, copy)
        os.chdir(folder)
        os.environ |= {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            return (module, *_tried_here(module, sample, seed, part))
        finally:
            os.chdir(ROOT)


def _tried_here(module: str, sample: int, seed: int, part: int) -> tuple[int, list[Survivor]]:
    """The same in the current folder, a copy."""
    from cosmic_ray.mutating import use_mutation
    from cosmic_ray.plugins import get_operator

    lines = Path(module).read_text(encoding="utf-8").splitlines()
    items = mutations(module, sample, seed)[part * PART : (part + 1) * PART]
    if not passes(module):
        sys.exit(f"{TESTS[module][0]} fails as it is")
    done, left = 0, []
    for mutation in items:
        operator = get_operator(mutation.operator_name)(**mutation.operator_args)
        with use_mutation(Path(module), operator, mutation.occurrence) as (_, mutated):
            if mutated is None:
                continue
            survived = passes(module)
        done += 1
        line = mutation.start_pos[0]
        print(end="." if not survived else "", file=sys.stderr, flush=True)
        if survived:
            left.append(Survivor(module, mutation.operator_name, line, lines[line - 1].strip()))
            now = mutated.splitlines()[line - 1].strip()
            print(f"  survived: {module}:{line} {mutation.operator_name}: {left[-1].text}  →  {now}", flush=True)
    return done, left


def mutations(module: str, sample: int, seed: int) -> list[MutationSpec]:
    """The sample of a module's mutants, drawn by seed."""
    from cosmic_ray.commands import init
    from cosmic_ray.work_db import WorkDB, use_db

    with tempfile.TemporaryDirectory() as folder, use_db(f"{folder}/mutants.sqlite", WorkDB.Mode.create) as db:
        init([Path(module)], db, {})
        items = [item for item in db.work_items if not item.mutations[0].operator_name.startswith(MEANINGLESS)]
    random.Random(f"{seed} {module}").shuffle(items)  # noqa: S311 (a sample, no secret)
    return [item.mutations[0] for item in items[: sample or None]]


def passes(module: str) -> bool:
    """Whether a module's tests pass."""
    files, quick = TESTS[module]
    return (not quick or _passed([*files.split(), "-k", quick])) and _passed(files.split())


def _passed(what: list[str]) -> bool:
    """Whether tests pass in time, in a child of this process, which has loaded what others wrote."""
    child = os.fork()
    if not child:
        _test(what)
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _test(what: list[str]) -> None:
    """In the child: run the tests of the copy that is the current folder, say nothing, and end."""
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        here = str(Path.cwd())
        sys.path[:] = [here, *(place for place in sys.path if Path(place or ".").absolute() not in (ROOT, Path(here)))]
        for name in [name for name in sys.modules if name.partition(".")[0] in COPIED]:
            del sys.modules[name]
        code = int(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-W", LOADED_ALREADY, *what]))
    finally:
        os._exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=40, help="mutants of each module, 0 for all (default: 40)")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (default: 1)")
    parser.add_argument("--module", help="only modules whose name has this in it")
    parser.add_argument("--workers", type=int, default=1, help="processes at once (default: 1)")
    args = parser.parse_args()
    known = tomllib.loads((ROOT / "benchmarks/mutants.toml").read_text(encoding="utf-8")).get("accepted", [])
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for name in LOADED:
        importlib.import_module(name)
    os.chdir(ROOT)
    modules = [module for module in TESTS if args.module is None or args.module in module]
    done, gaps = dict.fromkeys(modules, 0), dict.fromkeys(modules, 0)
    survived = dict.fromkeys(modules, 0)
    with ProcessPoolExecutor(args.workers, mp_context=get_context("fork")) as pool:
        parts = [
            pool.submit(tried, module, args.sample, args.seed, part)
            for module in modules
            for part in range(-(-len(mutations(module, args.sample, args.seed)) // PART))
        ]
        for part in parts:
            module, count, left = part.result()
            done[module] += count
            survived[module] += len(left)
            gaps[module] += sum(not one.accepted(known) for one in left)
    for module in modules:
        print(f"{module:27} {done[module]:4} tried, {survived[module]} survived, {gaps[module]} of them gaps")
    share = sum(gaps.values()) / max(sum(done.values()), 1)
    print(
        f"{sum(done.values())} mutants tried, seed {args.seed}: {sum(gaps.values())} gaps, {share:.1%} "
        f"(below {MOST_GAPS:.0%} wanted)"
    )
    sys.exit(0 if share < MOST_GAPS else 1)


if __name__ == "__main__":
    main()
