"""The way of a digit, traced: what runs between its image and its answer is what its page lists, in order."""

from __future__ import annotations

import re
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

from drivers.benchfile import load_bench
from drivers.device import load_device
from hil.network.weights import load_weights
from hil.run.config import RunConfig
from hil.run.opening import open_measured
from hil.run.session import begin, go_on

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "a-digit.md"
MOST_MODULES = 35
FUNCTION = 1  # CO_OPTIMIZED: not the body of a module or a class


def traced(folder: Path, digits: str) -> list[str]:
    """The modules of ours whose functions run while these digits are recognised on the mock, in order."""
    entered: dict[str, None] = {}

    def enter(frame: FrameType, event: str, _argument: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        ours = module.split(".")[0] in ("hil", "drivers", "calibration")
        if event == "call" and frame.f_code.co_flags & FUNCTION and ours:
            entered.setdefault(module)

    file, weights = load_bench("mock"), load_weights()
    config = RunConfig(
        command="run",
        digits=digits,
        vth_v=file.vth_v,
        timing=file.slot,
        bench=file,
        device=load_device("nominal"),
        weights_digest=weights.digest,
    )
    with ExitStack() as stack:
        bench, config = open_measured(config, stack)
        assert bench is not None
        run = stack.enter_context(begin(folder / f"{digits}.sqlite", config, bench.identity, {}))
        threading.setprofile(enter)
        sys.setprofile(enter)
        try:
            assert len(list(go_on(run, config, weights, bench))) == 1
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    return list(entered)


def test_the_way_of_a_digit(tmp_path: Path) -> None:
    traced(tmp_path, "1:2")  # whatever is imported or worked out once
    way = traced(tmp_path, "0:1")
    listed = re.findall(r"^\d+\. `([\w.]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert way == listed
    assert len(way) <= MOST_MODULES
