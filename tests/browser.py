"""A real browser for tests of pages: headless Chromium without network, driven over its DevTools pipe."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--remote-debugging-pipe",
    "--no-first-run",
    "about:blank",
)
# The pipe is file descriptors 3 and 4 of the browser; those of this process are moved out of their way first
LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3), os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
LOOK = """({
  images: [...document.images].map(i => [i.alt, i.naturalWidth]),
  broken: [...document.querySelectorAll("a[href^='#']")].map(a => a.getAttribute("href"))
    .filter(h => !document.getElementById(h.slice(1))),
  files: [...document.querySelectorAll("a[href]:not([href^='#'])")].map(a => a.getAttribute("href")),
  width: document.documentElement.scrollWidth,
  window: innerWidth,
})"""


@dataclass
class Tab:
    """One page that is open.

    Attributes
    ----------
    errors
        Of the console and uncaught ones, as text.
    requests
        URLs that were asked for, the page's own and data URLs left out.
    """

    to_browser: BinaryIO
    from_browser: BinaryIO
    session: str = ""
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    count: int = 0

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol and return its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.to_browser.write(json.dumps(message).encode() + b"\0")
        self.to_browser.flush()
        while (answer := self._next()).get("id") != self.count:
            self._note(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, page: Path, width: int) -> None:
        """Show a file in a window of this width until all of it is loaded."""
        self.events.clear()
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=page.as_uri())
        while "Page.loadEventFired" not in self.events:
            self._note(self._next())

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression."""
        found = self.ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def look(self) -> dict[str, Any]:
        """What a page must have right: images, links, width."""
        found: dict[str, Any] = self.run(LOOK)
        return found

    def press(self, key: str) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def screenshot(self, path: Path) -> None:
        """Save the whole page as a picture."""
        path.write_bytes(
            b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"])
        )

    def _next(self) -> dict[str, Any]:
        """The next message; they end in a zero byte."""
        message = bytearray()
        while (byte := self.from_browser.read(1)) != b"\0":
            assert byte, "the browser has gone"
            message += byte
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        method, told = event.get("method", ""), event.get("params", {})
        self.events.append(method)
        if method == "Runtime.exceptionThrown" or (
            method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning")
        ):
            self.errors.append(json.dumps(told))
        if method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(told["args"]))
        if method == "Network.requestWillBeSent" and told["request"]["url"].startswith("http"):
            self.requests.append(told["request"]["url"])


@contextmanager
def browser(*flags: str) -> Iterator[Tab]:
    """A browser without network, with one tab."""
    assert CHROMIUM
    # Its helpers, killed with it, may outlive it by a moment and still write
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        ours, theirs = os.pipe(), os.pipe()  # we write into the first, the browser into the second
        command = [CHROMIUM, f"--user-data-dir={profile}", *flags, *FLAGS]
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(ours[0]), str(theirs[1]), *command],
            pass_fds=(ours[0], theirs[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(ours[0])
        os.close(theirs[1])
        with os.fdopen(ours[1], "wb") as to_browser, os.fdopen(theirs[0], "rb") as from_browser:
            try:
                yield _tab(to_browser, from_browser)
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _tab(to_browser: BinaryIO, from_browser: BinaryIO) -> Tab:
    tab = Tab(to_browser, from_browser)
    target = tab.ask("Target.createTarget", url="about:blank")["targetId"]
    tab.session = tab.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        tab.ask(f"{domain}.enable")
    tab.ask(
        "Network.emulateNetworkConditions",
        offline=True,
        latency=0,
        downloadThroughput=0,
        uploadThroughput=0,
    )
    return tab
