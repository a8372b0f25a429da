"""A real VictoriaMetrics, fed by pushing samples to it."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import httpx

from tests.process import until
from tests.server.prometheus import free_port


def program():
    return shutil.which("victoria-metrics")


class VictoriaMetrics:
    """The program over a folder. `speak` feeds it a sample a second for each series."""

    def __init__(self, folder):
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self):
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program(),
                    f"-httpListenAddr=127.0.0.1:{self._port}",
                    f"-storageDataPath={self._folder / 'data'}",
                    # By default answers leave out the newest 30 s.
                    "-search.latencyOffset=0s",
                    "-search.disableCache",
                ],
                stdout=log,
                stderr=log,
                env=os.environ,
            )
        until(lambda: httpx.get(f"{self.url}/health").status_code == 200, "VictoriaMetrics", 20)

    def stop(self, sign=signal.SIGTERM):
        if self._process.poll() is None:
            self._process.send_signal(sign)
        self._process.wait(20)

    def write(self, samples):
        """[(name and labels, timestamp in ms, value)], visible when this returns."""
        lines = [f"{series} {value} {at_ms}" for series, at_ms, value in samples]
        answer = httpx.post(f"{self.url}/api/v1/import/prometheus", content="\n".join(lines))
        assert answer.status_code == 204, answer.text
        httpx.get(f"{self.url}/internal/force_flush")
        time.sleep(0.05)
