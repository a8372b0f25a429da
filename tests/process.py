"""The real program as a process on a real port, and small waits for what it does."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

BIN = Path(sys.executable).parent
READY_SECONDS = 40.0


class Program:
    """`aiops serve` over a folder; `url` once it is ready."""

    def __init__(self, folder, settings, *options):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._config = self.folder / "aiops.yaml"
        self._config.write_text(json.dumps(settings))  # JSON is YAML.
        self._options = options
        self.log_path = self.folder / "aiops.log"
        self.start()

    def start(self):
        self._log = self.log_path.open("ab")
        begin = self._log.tell()
        self._process = subprocess.Popen(
            [
                str(BIN / "aiops"),
                "serve",
                f"--config.file={self._config}",
                f"--storage.path={self.folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                *self._options,
            ],
            stderr=self._log,
            stdout=self._log,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        try:
            self.url = until(lambda: self._listening(begin), "the address", READY_SECONDS)
        except AssertionError:
            self._process.kill()
            self._process.wait()
            self._log.close()
            raise
        self.http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=20)
        until(lambda: httpx.get(f"{self.url}/ready").status_code == 200, "ready", READY_SECONDS)

    def _listening(self, begin):
        assert self._process.poll() is None, self.log_path.read_text()[-3000:]
        text = self.log_path.read_bytes()[begin:].decode()
        match = re.search(r'"url": "(http://[^"]+)", .*"message": "listening"', text)
        match = match or re.search(r'"message": "listening".*"url": "(http://[^"]+)"', text)
        return match and match[1]

    def kill(self):
        """As a crash does."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._close()

    def stop(self):
        """As an operator does; the exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(20)
        self._close()
        return status

    def _close(self):
        self.http.close()
        self._log.close()

    def status(self, name):
        return self.http.get(f"/detectors/{name}/status").json()

    def anomalies(self, **query):
        return self.http.get("/anomalies", params=query).json()["items"]


def until(probe, what, seconds=30.0):
    """What `probe` gives once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := probe():
                return found
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)
