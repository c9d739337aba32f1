"""The distribution's Chromium, driven by Selenium; nothing is downloaded. Tests skip where either program is absent."""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None, reason="no Chromium with its driver here: apt-get install chromium-driver"
)
_PATIENCE_S = 30.0
Value = TypeVar("Value")


class Browser:
    """One page in a headless browser, with what it asked the network for and what it complained of."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def size(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        device = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})

    def js(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(f"return {script}", *arguments)

    def until(self, what: str, ask: Callable[[], Value]) -> Value:
        """The first answer that is true; asks again for a while."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            if found := ask():
                return found
            time.sleep(0.05)
        raise AssertionError(f"in vain waited for {what}; the console said {self.complaints()}")

    def text(self, css: str) -> str:
        found: str = self.js("document.querySelector(arguments[0])?.innerText ?? ''", css)
        return found

    def count(self, css: str) -> int:
        found: int = self.js("document.querySelectorAll(arguments[0]).length", css)
        return found

    def click(self, css: str) -> None:
        self._on(css, lambda element: element.click())

    def keys(self, css: str, keys: str) -> None:
        self._on(css, lambda element: element.send_keys(keys))

    def _on(self, css: str, act: Callable[[WebElement], None]) -> None:
        """A page that follows a run may draw an element anew between finding it and touching it."""

        def done() -> bool:
            try:
                act(self.driver.find_element("css selector", css))
            except StaleElementReferenceException:
                return False
            return True

        self.until(f"{css} to hold still", done)

    def picture(self, file: Path) -> None:
        """The whole page, as far down as it goes."""
        size = {side: self.js(f"document.documentElement.scroll{side}") for side in ("Width", "Height")}
        clip = {"x": 0, "y": 0, "width": size["Width"], "height": min(size["Height"], 8000), "scale": 1}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        file.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, those of the content security policy among them."""
        return [entry["message"] for entry in self._log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def asked_for(self) -> set[str]:
        """Addresses that were asked for since the last call, but for those that hold their content themselves."""
        found = set()
        for entry in self._log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.add(message["params"]["request"]["url"])
        return {url for url in found if not url.startswith(("data:", "blob:", "chrome:"))}

    def _log(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.driver.get_log(name)  # type: ignore[no-untyped-call]
        return found


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--disable-background-networking")
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # What is looked at comes before who looks: a browser takes all the processors it gets.
    service = Service(str(CHROMEDRIVER), popen_kw={"preexec_fn": lambda: os.nice(10)})
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
