# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Chromium without a screen, told what to do over two pipes."""

import base64
import json
import os
import subprocess

CHROMIUM = "/usr/lib/chromium/chromium-headless-shell"


class BrowserError(Exception):
    pass


class Browser:
    """One page. Messages of the DevTools protocol end with a NUL: they are
    read from descriptor 3 and written to 4."""

    def __init__(self, directory):
        commands, self._to = os.pipe()
        self._from, answers = os.pipe()

        def place():
            for number, end in ((10, commands), (11, answers)):
                os.dup2(end, number)
            os.dup2(10, 3)
            os.dup2(11, 4)

        self._process = subprocess.Popen(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--remote-debugging-pipe",
             "--host-resolver-rules=MAP * 127.0.0.1",
             "--user-data-dir=%s" % directory, "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=place)
        os.close(commands)
        os.close(answers)
        self._buffer, self._id, self._session = b"", 0, None
        self.complaints = []
        target = self._call("Target.createTarget", url="about:blank")
        self._session = self._call(
            "Target.attachToTarget", targetId=target["targetId"],
            flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            self._call(domain + ".enable")

    def _message(self):
        while b"\0" not in self._buffer:
            data = os.read(self._from, 1 << 16)
            if not data:
                raise BrowserError("Chromium has gone")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])
        return message

    def _call(self, method, **params):
        self._id += 1
        call = {"id": self._id, "method": method, "params": params}
        if self._session:
            call["sessionId"] = self._session
        data = json.dumps(call).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data):]
        while True:
            message = self._message()
            if message.get("id") == self._id:
                break
        if "error" in message:
            raise BrowserError("%s: %s" % (method, message["error"]))
        return message["result"]

    def open(self, url):
        self.complaints.clear()
        self._call("Page.navigate", url=url)
        while self._message().get("method") != "Page.loadEventFired":
            pass

    def shape(self, width, dark=False, media=""):
        self._call("Emulation.setDeviceMetricsOverride", width=width,
                   height=800, deviceScaleFactor=1, mobile=width < 600)
        self._call("Emulation.setEmulatedMedia", media=media, features=[
            {"name": "prefers-color-scheme",
             "value": "dark" if dark else "light"}])

    def picture(self, path):
        """All of the page, also what has to be scrolled to."""
        shot = self._call("Page.captureScreenshot", format="png",
                          captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def print(self, path):
        made = self._call("Page.printToPDF")
        path.write_bytes(base64.b64decode(made["data"]))

    def evaluate(self, expression):
        """The value of an expression, when it has one."""
        found = self._call("Runtime.evaluate", expression=expression,
                           awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise BrowserError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
