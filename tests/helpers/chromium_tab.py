"""A tab of Chromium without a window, driven through its debugging pipe."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars")


class Browser:
    """One tab. What the page asks the network for, and what it complains of, is kept."""

    def __init__(self, folder: Path) -> None:
        import fcntl  # which Windows has not; there nothing gets here

        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.to_network: list[bytes] = []
        self._loaded = False
        self._number = 0
        # Whatever leaves the machine would have to pass here.
        self._proxy = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._refuse, daemon=True).start()
        ends = [*os.pipe(), *os.pipe()]
        # Out of the way of 3 and 4, where Chromium looks for the pipe.
        read, self._write, self._read, write = (fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in ends)
        for end in ends:
            os.close(end)
        proxy = f"--proxy-server=http://127.0.0.1:{self._proxy.getsockname()[1]}"
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{read} 4>&{write}', "bash", "chromium", *FLAGS, proxy,
             "--proxy-bypass-list=<-loopback>", f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank"],
            pass_fds=(read, write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self._answers = os.fdopen(self._read, "rb")
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.send(f"{domain}.enable")

    def _refuse(self) -> None:
        while True:
            try:
                asked, _ = self._proxy.accept()
            except OSError:
                return
            with asked:
                asked.settimeout(1)
                self.to_network.append(asked.recv(1000))

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "Chromium ended"
            text += byte
        found: dict[str, Any] = json.loads(text)
        about = found.get("params", {})
        match found.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(about["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(about["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(about["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(about["args"]))
            case "Page.loadEventFired":
                self._loaded = True
        return found

    def open(self, path: Path, width: int = 1100, height: int = 900) -> None:
        self.requests, self.complaints, self._loaded = [], [], False
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.send("Page.navigate", url=path.as_uri())
        while not self._loaded:
            self._next()

    def run(self, script: str) -> Any:
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def click(self, selector: str) -> None:
        """With the mouse, in the middle of what is there."""
        place = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def press(self, key: str) -> None:
        codes = {"ArrowLeft": 37, "ArrowRight": 39, "Enter": 13}
        text = {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=codes[key], **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=codes[key])

    def pdf(self) -> bytes:
        """The print view, A4."""
        return base64.b64decode(
            self.send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=False)["data"]
        )

    def picture(self) -> bytes:
        """The whole page as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        self._answers.close()
        os.close(self._write)
        self._proxy.close()
