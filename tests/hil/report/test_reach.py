"""Whatever can be done with a mouse can be done with keys, and with two fingers what the wheel does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from hil.cli import main
from hil.store.runfile import RunFile
from tests.hil.browser import Browser, browser, needs_browser

pytestmark = [pytest.mark.slow, needs_browser]
INTERACTIVE = "button:not([disabled]), a[href], input, summary, [tabindex='0'], [role=slider]"
MOST_STOPS = 200
TICKS = "Array.from(document.querySelectorAll('.scope .tick'), (tick) => tick.textContent).join()"
LABEL = "document.activeElement.getAttribute('aria-label')"
LABELS = "Array.from(document.querySelectorAll('.strip button'), (one) => one.getAttribute('aria-label'))"


@pytest.fixture(scope="module")
def two_layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a run with traces of two layers."""
    return reported(tmp_path_factory.mktemp("layers"), "--physical", "conv1:0-1,fc2", "--full-scale", "conv1=12,fc2=24")


@pytest.fixture(scope="module")
def helped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a run whose digits had two helpings, because nobody is ever wholly sure."""
    return reported(tmp_path_factory.mktemp("helped"), "--physical", "conv1:0-1", "--helpings", "6,12", "--sure", "1")


def reported(folder: Path, *argv: str) -> Path:
    run, page = folder / "run.sqlite", folder / "run.html"
    noisy = ("--digits", "0:3", "--noise", "60", "--traces")
    assert main(["run", *noisy, *argv, "--out", str(run), "--json"]) == 0
    assert main(["report", str(run), "--out", str(page)]) == 0
    return page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def opened(page: Browser, file: Path) -> None:
    page.driver.get(file.as_uri())
    page.until("traces", lambda: page.count(".scope .wave") > 0)
    page.until("maps", lambda: page.count(".channels canvas") == 96)
    page.until("charts", lambda: page.count(".chart") >= 3)


def press(page: Browser, *keys: str) -> None:
    for key in keys:
        page.driver.switch_to.active_element.send_keys(key)


def focus(page: Browser, css: str) -> None:
    """By the tab key alone, from the top of the page."""
    page.js("document.activeElement.blur()")
    for _ in range(MOST_STOPS):
        press(page, Keys.TAB)
        if page.js("document.activeElement.matches(arguments[0])", css):
            return
    raise AssertionError(f"the tab key never came to {css}")


def test_the_tab_key_comes_to_everything_and_shows_where_it_is(page: Browser, two_layers: Path) -> None:
    page.size(1200, 900)
    opened(page, two_layers)
    page.js("(() => { window.reached = new Set(); window.unseen = []; })()")
    for _ in range(MOST_STOPS):
        press(page, Keys.TAB)
        if page.js("document.activeElement === document.body || window.reached.has(document.activeElement)"):
            break
        page.js(
            "(() => { const at = document.activeElement; window.reached.add(at);"
            "const lined = getComputedStyle(at).outlineStyle !== 'none' || at.classList.contains('grip');"
            "if (!lined) window.unseen.push(at.outerHTML); })()"
        )
    missed = page.js(
        f"Array.from(document.querySelectorAll({INTERACTIVE!r})).filter((one) => one.getClientRects().length"
        " && !one.closest('.strip') && !window.reached.has(one)).map((one) => one.outerHTML.slice(0, 120))"
    )
    assert missed == []
    assert page.js("window.unseen") == []
    assert page.js("Array.from(window.reached).filter((one) => one.closest('.strip')).length") == 1


def test_keys_do_what_a_mouse_does(page: Browser, two_layers: Path) -> None:
    page.size(1200, 900)
    opened(page, two_layers)
    where = page.text("#digit h3:last-of-type")
    assert where == page.text("#digit h3:last-of-type")
    focus(page, ".strip button")
    at, labels = page.js(LABEL), page.js(LABELS)
    step, key = (-1, Keys.ARROW_LEFT) if labels.index(at) else (1, Keys.ARROW_RIGHT)
    press(page, key)
    there = page.js(LABEL)
    assert there == labels[labels.index(at) + step]
    press(page, Keys.ENTER)
    chosen = there.split(",")[0]
    page.until(f"another digit than {at}", lambda: f"{chosen}, conv1" in page.text("#digit"))
    focus(page, ".kernel[aria-pressed=false]")
    name = page.js("document.activeElement.title")
    press(page, Keys.ENTER)
    page.until(name, lambda: f"{chosen}, {name}" in page.text("#digit"))
    focus(page, ".map")
    before = slot(page)
    press(page, Keys.ARROW_UP)
    page.until("the slot above", lambda: slot(page) == (before[0] - 1, before[1]))
    assert page.js("document.activeElement.matches('.map')"), "the map has lost the focus to what it opened"
    press(page, Keys.ARROW_DOWN)
    page.until("the slot with its traces", lambda: slot(page) == before and page.count(".scope .wave") == 4)
    focus(page, "[data-handle=B]")
    read = page.text(".measures")
    press(page, Keys.ARROW_LEFT)
    assert page.text(".measures") != read
    focus(page, ".scope")
    near = page.js(TICKS)
    press(page, "0")
    assert page.js(TICKS) != near
    focus(page, ".tabs[aria-label=layer] button[aria-pressed=false]")
    press(page, Keys.ENTER)
    page.until("the other layer", lambda: "fc2 unit" in page.text("#digit"))
    assert page.js("document.activeElement.textContent") == "fc2"
    focus(page, ".confusion button")
    press(page, Keys.ENTER)
    page.until("only some digits", lambda: "answered" in page.text("section .tabs"))
    assert page.complaints() == []


def slot(page: Browser) -> tuple[int, int]:
    """Row and column of the open slot."""
    found = page.js("/row (\\d+), column (\\d+)/.exec(document.querySelector('#digit').innerText).slice(1)")
    return int(found[0]), int(found[1])


def test_two_fingers_look_closer_and_one_moves(page: Browser, two_layers: Path) -> None:
    page.size(390, 844, phone=True)
    opened(page, two_layers)
    page.js("document.querySelector('.scope').scrollIntoView({ block: 'center' })")
    box = page.js(
        "(() => { const b = document.querySelector('.scope').getBoundingClientRect(); return [b.x, b.y]; })()"
    )
    left, y = box[0] + 100, box[1] + 200
    wide = shown_s(page)
    fingers(page, (left + 60, left + 100), (left, left + 180), y)
    page.until("a closer look", lambda: shown_s(page) < 0.5 * wide)
    assert page.js("visualViewport.scale") == 1, "the browser has zoomed the page instead"
    near = shown_s(page)
    fingers(page, (left, left + 180), (left + 60, left + 100), y)
    page.until("a wider look", lambda: shown_s(page) > 1.5 * near)
    assert page.complaints() == []


def fingers(page: Browser, begin: tuple[float, float], end: tuple[float, float], y: float) -> None:
    """Two fingers that go from one pair of places to another in steps."""

    def touch(kind: str, xs: tuple[float, ...]) -> None:
        points = [{"x": x, "y": y, "id": i} for i, x in enumerate(xs)]
        page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", begin)
    for step in range(1, 11):
        touch("touchMove", tuple(a + (b - a) * step / 10 for a, b in zip(begin, end, strict=True)))
    touch("touchEnd", ())


def shown_s(page: Browser) -> float:
    """How much time the picture is wide, by the numbers on its axis."""
    ticks = page.js(
        "Array.from(document.querySelectorAll('.scope .tick[text-anchor=middle]'), (tick) =>"
        " [Number(tick.getAttribute('x')), tick.textContent])"
    )
    (x, first), (further, second) = ticks[:2]
    wide = page.js("document.querySelector('.scope').viewBox.baseVal.width")
    return float(wide / (further - x)) * (seconds(second) - seconds(first))


def seconds(text: str) -> float:
    number, unit = text.split()
    return float(number) * {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit]


def test_each_helping_of_a_slot_is_shown_with_its_traces(page: Browser, helped: Path) -> None:
    page.size(1200, 900)
    opened(page, helped)
    assert page.count(".scopebox") == 2
    told = page.js("Array.from(document.querySelectorAll('.helping'), (one) => one.textContent)")
    assert [text.partition(":")[0] for text in told] == ["helping 1", "helping 2"]
    sent = [int(text.split(": ")[1].split()[0]) for text in told]
    whole = page.js("document.querySelector('.helping').previousElementSibling.textContent")
    assert sum(sent) == int(whole.split()[0])
    with RunFile.open(helped.with_name("run.sqlite")) as run:
        assert {key for (key,) in run.query("SELECT DISTINCT purpose FROM shots WHERE purpose LIKE 'run%'")} == {
            "run",
            "run+1",
        }
    assert page.complaints() == []
