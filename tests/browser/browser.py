"""A real headless Chromium: every request it makes and every word on its console are kept."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

DEADLINE_SECONDS = 60.0

# Chromium drops what is under way whenever a network interface of the machine comes or goes, as with each container
# that anybody starts. It says so on the page's console, but it is nothing that the page did.
_NETWORK_CHANGED = "ERR_NETWORK_CHANGED"

T = TypeVar("T")


def until(ask: Callable[[], T | None], what: str, seconds: float = DEADLINE_SECONDS) -> T:
    """Wait for something to be there, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := ask():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


class Browser:
    """One window. Selenium looks for no driver of its own: both programs are Debian's."""

    def __init__(self) -> None:
        options = Options()
        options.binary_location = _program("chromium")
        # Root, as which a container's tests run, has no sandbox; a small /dev/shm would crash the page.
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options, Service(_program("chromedriver")))
        self.requests: list[str] = []
        self.console: list[str] = []
        self.interrupted = False

    def open(self, address: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a page anew, in a window of this size and a colour scheme."""
        phone = width < 500
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.driver.get("about:blank")
        self.listen()
        self.requests.clear()
        self.console.clear()
        self.interrupted = False
        self.driver.get(address)

    def listen(self) -> None:
        """Take what the browser has noted since the last time."""
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]  # selenium's own
            message = json.loads(entry["message"])["message"]
            if message["method"] in {"Network.requestWillBeSent", "Network.webSocketCreated"}:
                parameters = message["params"]
                self.requests.append(parameters.get("request", parameters)["url"])
        entries: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]  # selenium's own
        words = [str(entry["message"]) for entry in entries]
        self.console += [word for word in words if _NETWORK_CHANGED not in word]
        self.interrupted |= any(_NETWORK_CHANGED in word for word in words)

    def ask(self, command: str, **parameters: Any) -> Any:
        """Give a command of the browser's own protocol."""
        return self.driver.execute_cdp_cmd(command, parameters)

    def run(self, script: str) -> Any:
        """Run a script in the page and return what it returns."""
        return self.driver.execute_script(script)

    def text(self, selector: str) -> str:
        """Return the text that a part of the page shows; "" when it is hidden or missing."""
        part = f"const part = document.querySelector({json.dumps(selector)})"
        found: str = self.run(f"{part}; return part && part.getClientRects().length ? part.innerText : ''")
        return found

    def click(self, selector: str) -> None:
        """Press a part of the page, as an assistive program does, once it is there."""
        press = f"const part = document.querySelector({json.dumps(selector)}); part?.click(); return part !== null"
        until(lambda: self.run(press), f"{selector} to press")

    def shows(self, selector: str, text: str, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until a part of the page holds this text."""
        try:
            until(lambda: text in self.text(selector), f"{text!r} in {selector}", seconds)
        except AssertionError as error:
            self.listen()
            raise AssertionError(f"{error}: {self.text(selector)[:300]!r}; console: {self.console}") from error

    def close(self) -> None:
        """End the browser."""
        self.driver.quit()


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing: run `scripts/setup test`")
    return found
