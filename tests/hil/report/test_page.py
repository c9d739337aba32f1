"""`hil report`: one file that needs nothing else, in which every digit, kernel and slot can be opened."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.signals import FrameKey
from hil.cli import main
from hil.network.physical import parse_physical
from hil.report.bundle import bundle
from hil.report.export import frame_slots
from hil.run.session import results_of
from hil.store.runfile import RunFile
from tests.hil.browser import Browser, browser, needs_browser

HOSTILE = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>\u001b[31m'


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some digits with many zeroed pixels, of which some are answered wrongly, with traces."""
    path = tmp_path_factory.mktemp("report") / "run.sqlite"
    argv = [
        "run",
        "--digits",
        "0:8",
        "--physical",
        "conv1:0-1",
        "--traces",
        "--noise",
        "85",
        "--full-scale",
        "conv1=12",
    ]
    assert main([*argv, "--out", str(path), "--json"]) == 0
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def page(path: Path, *argv: str) -> str:
    assert main(["report", str(path), "--out", "r.html", *argv]) == 0
    return Path("r.html").read_text(encoding="utf-8")


def content(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="run">(.*?)</script>', text, flags=re.S)
    assert found is not None
    read: dict[str, Any] = json.loads(found[1])
    return read


def unpacked(text: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=kind)


def test_the_file_holds_every_slot_of_every_digit_as_it_was_recorded(recorded: Path) -> None:
    held = content(page(recorded))
    (part,) = parse_physical("conv1:0-1")
    with RunFile.open(recorded) as run:
        results = results_of(run)
        for result in results:
            (found,) = held["digits"][f"85/{result.index}"]["parts"]
            truth = frame_slots(run, FrameKey("run", result.index, 85), part)
            for name in ("pulses", "spikes"):
                assert np.array_equal(unpacked(found[name], "<u2"), truth[name])
    assert [digit["answer"] for digit in held["overview"]["digits"]] == [result.answer for result in results]
    assert held["overview"]["state"] == "complete"
    assert held["overview"]["totals"]["pulses"] == sum(result.pulses for result in results)
    assert held["traced"]
    points = held["statistics"]["firing"]["points"]
    assert sum(point["slots"] for point in points) > 400
    assert set(held["maps"]) == set(held["digits"])
    conv1 = held["maps"]["85/3"]["layers"]["conv1"]
    assert unpacked(conv1["values"], "<f8").shape == (32 * 14 * 14,)


def test_the_file_asks_nobody_and_lets_no_script_in_but_its_own(recorded: Path) -> None:
    text = page(recorded)
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", text)
    script = re.search(r'<script type="module">(.*?)</script>', text, flags=re.S)
    assert script is not None
    named = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{named}';" in text
    assert text.count("<script") == 2


def test_it_opens_with_the_chosen_slot_and_holds_its_traces_whatever_the_budget(recorded: Path) -> None:
    held = content(page(recorded, "--image", "3", "--channel", "1", "--position", "400", "--traces", "0"))
    wanted = {"noise": 85, "index": 3, "layer": "conv1", "channel": 1, "position": 400}
    assert held["overview"]["opened"] == wanted
    assert set(held["pieces"]) == {"85/3/conv1"}
    whole = content(page(recorded, "--traces", "1000"))
    assert len(whole["pieces"]) == 8


def test_the_components_are_joined_in_order_and_none_is_left_out() -> None:
    joined = bundle("report.js")
    assert not re.search(r"^(import|export)\b", joined, flags=re.M)
    order = re.findall(r"^// (\w+\.js)$", joined, flags=re.M)
    assert order[-1] == "report.js"
    assert order.index("dom.js") < order.index("scope.js") < order.index("page.js")
    assert {"runs.js", "served.js", "app.js"}.isdisjoint(order)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--image", "99"), "--image 99: not among the finished digits"),
        (("--channel", "7"), "--channel 7: recorded are 0…1 of conv1"),
        (("--position", "784"), "--position 784: allowed 0…783"),
        (("--out", "file/r.html"), "file is not a folder"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], recorded: Path, argv: tuple[str, ...], message: str) -> None:
    Path("file").touch()
    assert main(["report", str(recorded), *argv]) == 2
    assert message in capsys.readouterr().err


def test_runs_without_traces_or_neuron_or_results_have_a_page_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from hil.terminal.interrupt import StopRequest

    assert main(["run", "--digits", "0:2", "--physical", "none", "--out", "none.sqlite", "--json"]) == 0
    none = content(page(Path("none.sqlite")))
    assert "in software alone" in none["overview"]["question"]
    assert none["digits"]["0/1"]["parts"] == []
    assert none["statistics"] is None
    assert main(["run", "--digits", "0:2", "--physical", "fc1:0-9", "--out", "fc1.sqlite", "--json"]) == 0
    fc1 = content(page(Path("fc1.sqlite")))
    assert not fc1["traced"]
    assert fc1["pieces"] == {}
    monkeypatch.setattr(StopRequest, "__call__", lambda _: True)
    assert main(["run", "--digits", "0:2", "--physical", "conv1:0-0", "--out", "part.sqlite"]) == 130
    part = content(page(Path("part.sqlite")))
    assert part["overview"]["digits"] == []
    assert part["overview"]["state"] == "interrupted"


@pytest.mark.slow
@needs_browser
def test_a_browser_without_network_opens_any_slot(recorded: Path, tmp_path: Path, chromium: Browser) -> None:
    page(recorded, "--image", "3", "--channel", "1")
    address = (tmp_path / "r.html").as_uri()
    chromium.size(1200, 900)
    chromium.driver.get(address)
    chromium.until("four traces", lambda: chromium.count(".scope .wave") == 4)
    assert "digit 3, conv1 kernel 1" in chromium.text("#digit")
    assert chromium.count(".scope .vth") == 1
    assert chromium.count(".scope .grip") == 2
    chromium.click(".kernel:first-child")
    chromium.until("the other kernel", lambda: "digit 3, conv1 kernel 0" in chromium.text("#digit"))
    wrong = chromium.js("document.querySelector('.strip .miss').getAttribute('aria-label')")
    chromium.click(".strip .miss")
    chromium.until("a wrong digit", lambda: wrong.split(",")[0] in chromium.text("#digit"))
    chromium.until("its maps", lambda: chromium.count(".channels canvas") == 96)
    chromium.picture(tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 100_000
    assert chromium.asked_for() == {address}
    assert chromium.complaints() == []


@pytest.mark.slow
@needs_browser
def test_a_hostile_run_is_shown_as_text(tmp_path: Path, chromium: Browser) -> None:
    device = Path("hostile.toml")
    nominal = (Path(__file__).parents[3] / "drivers/mock/devices/nominal.toml").read_text(encoding="utf-8")
    lines = [line for line in nominal.splitlines() if not line.startswith("description")]
    device.write_text("\n".join([f"description = {json.dumps(HOSTILE)}", *lines]), encoding="utf-8")
    out = "h.sqlite"
    argv = ["run", "--digits", "0:1", "--physical", "conv1:0-0", "--device", str(device), "--out", out, "--json"]
    assert main(argv) == 0
    with RunFile.open(Path(out), write=True) as run:
        run.add_event("</script><script>window.hurt=1</script>", HOSTILE)
    page(Path(out))
    chromium.driver.get((tmp_path / "r.html").as_uri())
    chromium.until("its setup", lambda: "window.hurt" in chromium.text(".facts") + chromium.text("main"))
    assert chromium.js("window.hurt") is None
    assert chromium.count("img") == 0
    assert chromium.complaints() == []
