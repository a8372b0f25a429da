"""The shop: several services, each a real HTTP exporter, with load, noise and staged incidents."""

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

DAY_SECONDS = 600.0
"""A day of the shop, from one morning to the next."""
TICK_SECONDS = 0.25
FIRST_INCIDENT_SECONDS = 60.0
CYCLE_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Service:
    """What a service does on a normal noon."""

    name: str
    requests_per_second: float
    latency_seconds: float
    error_share: float


@dataclass(frozen=True, slots=True)
class Incident:
    """What goes wrong, when in the cycle, and for how long. Factors apply to the normal values."""

    service: str
    text: str
    at_seconds: float
    for_seconds: float
    traffic: float = 1.0
    latency: float = 1.0
    errors: float = 1.0


SERVICES = (
    Service("frontend", 300.0, 0.080, 0.002),
    Service("catalog", 220.0, 0.035, 0.002),
    Service("cart", 120.0, 0.025, 0.002),
    Service("checkout", 90.0, 0.120, 0.004),
    Service("payment", 80.0, 0.210, 0.004),
)
INCIDENTS = (
    Incident("payment", "the card processor answers five times slower", 0, 25, latency=5.0),
    Incident("catalog", "a bad deploy fails a third of all requests", 60, 25, errors=150.0),
    Incident("cart", "a broken link takes away most of the traffic", 120, 25, traffic=0.1),
)


class Shop:
    """Runs until `close`. announce: called with a line when an incident begins or ends."""

    def __init__(self, announce: Callable[[str], None], seed: int = 7) -> None:
        self._announce = announce
        self._rng = random.Random(seed)  # noqa: S311 - stage noise.
        self._started = time.monotonic()
        self._stopped = threading.Event()
        self._servers: list[WSGIServer] = []
        self._running: set[Incident] = set()
        self._meters = {service.name: self._open() for service in SERVICES}
        self._thread = threading.Thread(target=self._run, name="shop", daemon=True)
        self._thread.start()

    @property
    def targets(self) -> list[str]:
        """The exporters' metrics pages."""
        return [f"http://127.0.0.1:{server.server_port}/metrics" for server in self._servers]

    def close(self) -> None:
        """End the services."""
        self._stopped.set()
        self._thread.join()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _open(self) -> "_Meters":
        registry = CollectorRegistry()
        meters = _Meters(
            Counter("shop_requests_total", "Requests.", ("service", "code"), registry=registry),
            Gauge("shop_latency_seconds", "Mean latency.", ("service",), registry=registry),
        )
        server, _ = start_http_server(0, "127.0.0.1", registry=registry)
        self._servers.append(server)
        return meters

    def _run(self) -> None:
        while not self._stopped.wait(TICK_SECONDS):
            elapsed = time.monotonic() - self._started
            running = {incident for incident in INCIDENTS if _runs(incident, elapsed)}
            for incident in running - self._running:
                self._announce(f"incident in {incident.service}: {incident.text}")
            for incident in self._running - running:
                self._announce(f"{incident.service} is well again")
            self._running = running
            for service in SERVICES:
                self._serve(service, elapsed)

    def _serve(self, service: Service, elapsed: float) -> None:
        traffic = latency = errors = 1.0
        for incident in self._running:
            if incident.service == service.name:
                traffic *= incident.traffic
                latency *= incident.latency
                errors *= incident.errors
        day = 1.0 + 0.3 * math.sin(2 * math.pi * elapsed / DAY_SECONDS)
        mean = service.requests_per_second * day * traffic * TICK_SECONDS
        requests = max(0, round(self._rng.gauss(mean, math.sqrt(mean))))
        failed = sum(self._rng.random() < service.error_share * errors for _ in range(requests))
        meters = self._meters[service.name]
        meters.requests.labels(service.name, "200").inc(requests - failed)
        meters.requests.labels(service.name, "500").inc(failed)
        noise = self._rng.lognormvariate(0.0, 0.06)
        busy = 0.8 + 0.2 * day
        meters.latency.labels(service.name).set(service.latency_seconds * busy * latency * noise)


@dataclass(frozen=True, slots=True)
class _Meters:
    requests: Counter
    latency: Gauge


def _runs(incident: Incident, elapsed: float) -> bool:
    since = elapsed - FIRST_INCIDENT_SECONDS
    return since >= 0 and 0 <= since % CYCLE_SECONDS - incident.at_seconds < incident.for_seconds
