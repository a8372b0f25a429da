"""A real Prometheus, and an exporter whose gauges a test turns."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from tests.process import until

NEWER = Path(__file__).parents[2] / ".servers/newer/usr/bin/prometheus"


def programs():
    """Version line by line: the installed Prometheus, and the newer one beside it."""
    installed = shutil.which("prometheus")
    return {"installed": Path(installed) if installed else None, "newer": NEWER}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Exporter:
    """Serves `gauge{series="a"}` and so on: noise of one sigma around 100, plus `offset` sigmas."""

    def __init__(self):
        self.offset = dict.fromkeys("abc", 0.0)
        self._rng = random.Random(5)
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = exporter.page().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.target = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def page(self):
        lines = [
            f'gauge{{series="{name}"}} {100 + offset + self._rng.gauss(0, 1)}'
            for name, offset in self.offset.items()
        ]
        return "# TYPE gauge gauge\n" + "\n".join(lines) + "\n"

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Prometheus:
    """The program over a folder, scraping `targets` each second."""

    def __init__(self, program, folder, targets, *flags, remote_write=None):
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._config = self._folder / "prometheus.yml"
        scrape = {"job_name": "test", "static_configs": [{"targets": targets}]}
        settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
        if remote_write:
            settings["remote_write"] = [remote_write]
        self._config.write_text(json.dumps(settings))
        self._program = program
        self._flags = flags
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self):
        log = (self._folder / "prometheus.log").open("ab")
        self._process = subprocess.Popen(
            [
                str(self._program),
                f"--config.file={self._config}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                f"--storage.tsdb.path={self._folder / 'tsdb'}",
                "--web.enable-remote-write-receiver",
                *self._flags,
            ],
            stdout=log,
            stderr=log,
            env=os.environ,
        )
        log.close()
        until(lambda: httpx.get(f"{self.url}/-/ready").status_code == 200, "Prometheus", 20)

    def stop(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)

    def query(self, query):
        """The `data.result` of an instant query."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}).json()
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def samples(self, selector, over="1h"):
        """{series label: {timestamp_ms: value}} as they are stored."""
        found = {}
        for series in self.query(f"{selector}[{over}]"):
            own = found.setdefault(series["metric"]["series"], {})
            own.update({round(float(t) * 1000): float(v) for t, v in series["values"]})
        return found
