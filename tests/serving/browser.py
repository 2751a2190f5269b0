"""A headless Chromium, driven over its DevTools protocol through pipes: tests need no package for that."""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe"),
)


class Browser:
    """One page of a browser.

    Attributes:
        asked: The addresses of all requests that the page made.
        said: What was written to the console, and what the content security policy refused.
    """

    def __init__(self, folder: Path):
        self._numbers = itertools.count(1)
        ours, theirs = os.pipe(), os.pipe()
        self._write, self._read, self._rest = ours[1], theirs[0], b""

        def give_pipes():  # Chromium reads from 3 and writes to 4
            os.dup2(ours[0], 103)
            os.dup2(theirs[1], 104)
            os.dup2(103, 3)
            os.dup2(104, 4)
            os.set_inheritable(3, True)
            os.set_inheritable(4, True)

        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            command, close_fds=False, preexec_fn=give_pipes, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(ours[0])
        os.close(theirs[1])
        self.asked, self.said, self._loaded, self._choosers = [], [], False, []
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters) -> dict:
        """Return what a command of the protocol answers."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None and not method.startswith("Target."):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            found = self._receive(30)
            if found.get("id") == number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                return found["result"]

    def _receive(self, seconds: float) -> dict:
        until = time.monotonic() + seconds
        while b"\0" not in self._rest:
            if not select.select([self._read], [], [], max(until - time.monotonic(), 0))[0]:
                raise TimeoutError
            if not (chunk := os.read(self._read, 2**20)):
                raise EOFError
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\0")
        found = json.loads(line)
        kind, about = found.get("method"), found.get("params", {})
        if kind == "Network.requestWillBeSent":
            self.asked.append(about["request"]["url"])
        elif kind in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.said.append(json.dumps(about))
        elif kind == "Page.loadEventFired":
            self._loaded = True
        elif kind == "Page.fileChooserOpened":
            self._choosers.append(about["backendNodeId"])
        return found

    def open(self, address: str, width: int, height: int = 1100):
        """Open a page in a window of so many pixels."""
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self._loaded = False
        self.call("Page.navigate", url=address)
        while not self._loaded:
            self._receive(30)

    def run(self, script: str):
        """Return the value of an expression of JavaScript in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 20):
        """Return the value of an expression as soon as it is true."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if value := self.run(script):
                return value
            with contextlib.suppress(TimeoutError):
                self._receive(0.05)
        raise TimeoutError(f"{script} stays false; {self.run('document.body.innerText')}")

    def press(self, key: str, code: int, text: str = ""):
        """Press a key: "Tab", 9 or "Enter", 13."""
        about = {"key": key, "code": key, "windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def drop(self, files: list[Path], x: int, y: int):
        """Drop files of this machine on a place of the page."""
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def expect_choice(self):
        """Let the next file dialog be answered by `choose`."""
        self.call("Page.setInterceptFileChooserDialog", enabled=True)

    def choose(self, files: list[Path]):
        """Answer the file dialog that opened, or that opens now."""
        while not self._choosers:
            self._receive(20)
        self.call("DOM.setFileInputFiles", files=[str(file) for file in files], backendNodeId=self._choosers.pop())

    def shoot(self, file: Path):
        """Write a picture of the whole page."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(found["data"]))

    def close(self):
        """End the browser."""
        with contextlib.suppress(Exception):
            self._session = None
            self.call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
