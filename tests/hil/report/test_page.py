"""`hil report`: one page that needs nothing else, and that a browser can show."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hil.cli import main
from hil.report.svg import Chart, ticks

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,4200")
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND"


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
        "--out",
        str(path),
        "--json",
    ]
    assert main([*argv, "--full-scale", "conv1=12"]) == 0
    return path


def page(path: Path, *argv: str) -> str:
    assert main(["report", str(path), "--out", "r.html", *argv]) == 0
    return Path("r.html").read_text(encoding="utf-8")


def test_the_page_shows_everything_and_needs_nothing(recorded: Path) -> None:
    text = page(recorded)
    for heading in (
        *("Set-up", "Confusion", "Digits it got wrong", "One kernel, one slot", "Firing against the calibration"),
        *("Slot timing, measured against planned", "Events", "Provenance"),
    ):
        assert f">{heading}" in text
    assert "Can one simulated memristive neuron, standing in for 1,568 neurons one after another" in text
    assert "95 % interval" in text
    assert text.count("data:image/png;base64,") >= 5
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", text)
    assert "$" not in re.sub(r"<script>.*?</script>", "", text, flags=re.S)  # no placeholder is left


def test_the_chosen_slot_is_shown(recorded: Path) -> None:
    text = page(recorded, "--image", "3", "--channel", "1", "--position", "400")
    assert "digit 3, conv1 kernel 1, row 14, column 8" in text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--image", "99"), "--image 99: not among the finished digits"),
        (("--channel", "7"), "--channel 7: recorded are 0…1 of conv1"),
        (("--position", "784"), "--position 784: allowed 0…783"),
        (("--out", "/dev/null/r.html"), "report /dev/null/r.html: /dev/null is not a folder"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], recorded: Path, argv: tuple[str, ...], message: str) -> None:
    assert main(["report", str(recorded), *argv]) == 2
    assert message in capsys.readouterr().err


def test_runs_without_traces_or_neuron_or_results_have_a_page_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from hil.terminal.interrupt import StopRequest

    assert main(["run", "--digits", "0:2", "--physical", "none", "--out", "none.sqlite", "--json"]) == 0
    assert "in software alone" in page(Path("none.sqlite"))
    assert main(["run", "--digits", "0:2", "--physical", "fc1:0-9", "--out", "fc1.sqlite", "--json"]) == 0
    text = page(Path("fc1.sqlite"))
    assert "This run has no oscilloscope traces" in text
    assert "Least certain digits" in text
    monkeypatch.setattr(StopRequest, "__call__", lambda _: True)
    assert main(["run", "--digits", "0:2", "--physical", "conv1:0-0", "--out", "part.sqlite"]) == 130
    assert "None is finished yet." in page(Path("part.sqlite"))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_a_browser_without_network_draws_the_page(recorded: Path, tmp_path: Path) -> None:
    from matplotlib import image

    page(recorded)
    address = (tmp_path / "r.html").as_uri()
    browser = [str(CHROMIUM), *BROWSER, OFFLINE, f"--user-data-dir={tmp_path / 'profile'}"]
    dom = subprocess.run([*browser, "--dump-dom", address], capture_output=True, text=True, check=True).stdout
    drawn = re.search(r'<svg id="scope".*?</svg>', dom, flags=re.S)
    assert drawn is not None
    assert drawn[0].count('class="wave"') == 4  # the script has drawn the four traces
    subprocess.run([*browser, f"--screenshot={tmp_path / 'r.png'}", address], capture_output=True, check=True)
    pixels = image.imread(io.BytesIO((tmp_path / "r.png").read_bytes()))
    assert pixels.shape[:2] == (4200, 1200)
    rows = np.ptp(pixels[:, :, :3].reshape(4200, -1), axis=1) > 0.1
    assert rows[:2500].mean() > 0.6  # most of the page's lines hold something


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert ticks(784, 0) == [0, 200, 400, 600]
    assert ticks(-0.22, 0.22) == [-0.2, -0.1, 0, 0.1, 0.2]


def test_a_chart_puts_data_where_its_axes_say() -> None:
    chart = Chart((0, 10), (0, 1), "x", "y & z", "a <chart>")
    chart.dots([(5, 0.5, "half <way>")], "dot")
    text = chart.render()
    assert f'cx="{chart.x(5):.1f}" cy="{chart.y(0.5):.1f}"' in text
    assert chart.x(0) < chart.x(10)
    assert chart.y(0) > chart.y(1)
    assert "y &amp; z" in text
    assert "half &lt;way&gt;" in text
