"""`hil serve` as people use it: a browser follows a run on the wire twin, opens a slot, measures, and stops the run."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from hil.run.session import results_of
from hil.store.locking import writer
from hil.store.rows import now_utc
from hil.store.runfile import RunFile
from tests.hil.browser import Browser, browser, needs_browser
from tests.hil.web.conftest import Served, end, hil, until

SIZES = {"desktop": (1200, 900, False, False), "phone": (390, 844, True, False), "dark": (1200, 900, False, True)}


@pytest.mark.slow
@pytest.mark.timeout(300)
@needs_browser
def test_a_browser_follows_a_run_and_stops_it(served: Served, tmp_path: Path) -> None:
    """On the simulated bench in process, whose oscilloscope shows four channels."""
    said = followed(served, tmp_path, "in-process.sqlite", ("--traces",), channels=4)
    assert "stopping after the shot in hand" in said


@pytest.mark.slow
@pytest.mark.wire
@pytest.mark.timeout(300)
@needs_browser
def test_a_browser_follows_a_run_over_the_wire_and_stops_it(served: Served, wire: Path, tmp_path: Path) -> None:
    said = followed(served, tmp_path, "wire.sqlite", ("--bench", str(wire)), channels=2)
    assert "stopping after the shot in hand" in said


def followed(served: Served, folder: Path, name: str, bench: tuple[str, ...], *, channels: int) -> str:
    """A run that is followed, measured in, looked at and stopped in a browser; what it said."""
    run_file = served.runs / name
    which = ("--digits", "0:5000", "--physical", "conv1:0-1")
    process = hil("run", *bench, *which, "--out", str(run_file), cwd=folder)
    hostile = served.runs / "<img src=x onerror=window.hurt=1>.sqlite"
    if not hostile.exists():
        RunFile.create(hostile, {"identity": {}}).close()
    said = ""
    try:
        until("the run file", run_file.exists)
        with browser(folder / "profile") as page:
            page.size(1200, 900)
            follow(page, served, name, parts=bench[0] == "--bench")
            measure(page, channels)
            look(page, folder)
            stop(page)
            assert page.complaints() == []
            assert all(url.startswith(served.address) for url in page.asked_for())
        assert process.wait(30) == 130
    except AssertionError as error:
        said = end(process)
        raise AssertionError(f"{error}; the run said: {said}") from error
    finally:
        said = said or end(process)
    with RunFile.open(run_file) as run:
        assert run.events()[-1][1:] == ("stopped", "on request")
        assert 2 <= len(results_of(run)) < 5000
    return said


def follow(page: Browser, served: Served, name: str, *, parts: bool) -> None:
    """From the list to the run, whose digits arrive."""
    page.driver.get(f"{served.address}/?token={served.token}")
    page.until("the run in the list", lambda: name in page.text("table"))
    assert "token" not in page.driver.current_url
    assert "<img src=x onerror=window.hurt=1>.sqlite" in page.text("table")
    assert page.js("window.hurt") is None
    page.js(f"Array.from(document.querySelectorAll('td a')).find((a) => a.textContent === '{name}').click()")
    page.until("two digits", lambda: page.count(".strip button") >= 2)
    before = page.count(".strip button")
    page.until("more digits", lambda: page.count(".strip button") > before)
    assert page.text(".state") == "running"
    assert "95 % interval" in page.text(".tiles")
    assert "of 5,000" in page.text(".tiles")
    assert "drift statistic" in page.text("main")
    if parts:
        page.until("shot times by part", lambda: "playing" in page.text("main"))
    page.until("statistics", lambda: page.count(".chart .dot") > 0)


def measure(page: Browser, channels: int) -> None:
    """A digit, a kernel and a slot by clicking, the cursors by keyboard."""
    page.click(".strip button")
    page.until("its traces", lambda: page.count(".scope .wave") == channels)
    page.click(".kernel:nth-child(2)")
    page.until("the other kernel", lambda: "conv1 kernel 1," in page.text("#digit"))
    page.click(".slotmap .map")  # in the middle, where four slots meet
    middle = re.compile(r"row (1[34]), column (1[34])\b")
    at = page.until("the slot in the middle", lambda: middle.search(page.text("#digit")))
    page.keys(".slotmap .map", "\ue012")  # arrow left
    assert at is not None
    left = f"row {at[1]}, column {int(at[2]) - 1}"
    page.until("the slot to its left", lambda: left in page.text("#digit"))
    page.click(".strip button")  # back to a slot that was played
    page.until("its traces", lambda: page.count(".scope .wave") == channels)
    was = page.js("document.querySelector('.measures tbody tr').innerText")
    page.js("document.querySelector('[data-handle=A]').focus()")
    page.driver.switch_to.active_element.send_keys("\ue014" * 5)  # arrow right
    now = page.js("document.querySelector('.measures tbody tr').innerText")
    assert now != was
    assert "Hz" in now
    ticks = "Array.from(document.querySelectorAll('.scope .tick'), (tick) => tick.textContent).join()"
    before = page.js(ticks)
    page.click(".scopebox button[aria-label='zoom in']")
    assert page.js(ticks) != before, "the time axis does not show what was zoomed to"
    assert "V" in page.js(ticks)


def look(page: Browser, folder: Path) -> None:
    """At a desk, on a phone and in the dark nothing is wider than the screen."""
    for name, (width, height, phone, dark) in SIZES.items():
        page.size(width, height, phone=phone, dark=dark)
        page.until("a page that fits", partial(fits, page, width))
        page.picture(folder / f"{name}.png")
        assert (folder / f"{name}.png").stat().st_size > 50_000
    background = page.js("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in background.strip("rgb()").split(",")) < 64
    page.size(1200, 900)


def fits(page: Browser, width: int) -> bool:
    wide: int = page.js("document.documentElement.scrollWidth")
    return wide <= width


def stop(page: Browser) -> None:
    """The button, the question, and word that the bench is at rest."""
    page.until("the button", lambda: page.count("#stop") == 1)
    page.click("#stop")
    page.driver.switch_to.alert.accept()
    page.until("the end", lambda: page.text(".state") == "interrupted")
    assert "Stopped and at rest" in page.text("main")


@pytest.mark.parametrize("bench", ["in process", pytest.param("wire", marks=pytest.mark.wire)])
def test_a_run_is_asked_to_stop_once_and_by_whoever_has_the_token(
    served: Served, tmp_path: Path, bench: str, request: pytest.FixtureRequest
) -> None:
    """It ends after the shot in hand: no more than that one is taken once it has been asked."""
    where = ("--bench", str(request.getfixturevalue("wire"))) if bench == "wire" else ()
    run_file = served.runs / f"stopped {bench}.sqlite"
    which = ("--digits", "0:5000", "--physical", "conv1:0-1")
    process = hil("run", *where, *which, "--out", str(run_file), cwd=tmp_path)
    try:
        path = f"/api/runs/{quote(run_file.name)}/stop"
        until("the run", lambda: run_file.exists() and writer(run_file))
        assert writer(run_file) == process.pid
        assert served.post(path)[0] == 403
        assert served.post(path, Authorization="Bearer wrong")[0] == 403
        right = {"Authorization": f"Bearer {served.token}"}
        assert served.post(path, **right, Origin="http://elsewhere.example")[0] == 403
        assert process.poll() is None
        with RunFile.open(run_file) as run:
            until("a digit", lambda: len(results_of(run)) > 0)
        assert served.post(path, **right) == (200, {"asked": process.pid})
        asked_utc = now_utc()
        assert process.wait(30) == 130
        status, said = served.post(path, **right)
        assert (status, said) in ((200, {"asked": None}), (400, {"error": f"{run_file.name} is not running"}))
        with RunFile.open(run_file) as run:
            assert run.query("SELECT COUNT(*) FROM shots WHERE taken_utc > ?", (asked_utc,))[0][0] <= 1
            assert run.events()[-1][1:] == ("stopped", "on request")
    finally:
        end(process)
