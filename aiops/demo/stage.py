"""The demo: the shop, an engine that watches it, and its feed in the terminal."""

import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from aiops.demo.prometheus import LocalPrometheus, find_prometheus
from aiops.demo.shop import CYCLE_SECONDS, FIRST_INCIDENT_SECONDS, INCIDENTS, Shop
from aiops.server import Address, serve
from aiops.terminal import follow
from api.client import Client
from models.settings import Settings
from models.validation import parse

Say = Callable[[str], None]

SCRAPE_QUERIES = {
    "shop-latency": "shop_latency_seconds",
    "shop-traffic": 'shop_requests_total{code="200"}',
    "shop-errors": 'shop_requests_total{code="500"}',
}
PROMQL_QUERIES = {
    "shop-latency": "avg by (service) (avg_over_time(shop_latency_seconds[5s]))",
    "shop-traffic": "sum by (service) (rate(shop_requests_total[5s]))",
    "shop-errors": 'sum by (service) (rate(shop_requests_total{code="500"}[5s]))',
}
MODELS: dict[str, dict[str, object]] = {
    "shop-latency": {"kind": "mad", "window": "5m", "threshold": 8},
    "shop-traffic": {"kind": "ewma", "alpha": 0.02, "threshold": 6},
    "shop-errors": {"kind": "mad", "window": "5m", "threshold": 8},
}
POLICIES: dict[str, dict[str, object]] = {
    "shop-latency": {"direction": "above", "min_relative_deviation": 0.5},
    "shop-traffic": {"min_relative_deviation": 0.3},
    "shop-errors": {"direction": "above", "min_deviation": 5},
}


def run_demo(address: Address, say: Say) -> None:
    """Run until Ctrl-C; everything that was started ends with it.

    Raises InvalidInput when the address cannot be listened on.
    """

    def tell(line: str) -> None:
        say(f"{datetime.now(UTC):%H:%M:%S}Z  shop   {line}")

    # A closed terminal ends the demo as Ctrl-C does, or its Prometheus would run on alone.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aiops-demo-")))
        shop = Shop(tell)
        stack.callback(shop.close)
        prometheus = _start_prometheus(stack, folder, shop.targets, say)
        settings = _settings(shop.targets, prometheus)

        def started(actual: Address) -> None:
            _introduce(actual, prometheus, say)
            threading.Thread(target=_watch, args=(actual.url, say), daemon=True).start()

        serve(settings, folder / "data", address, started)


def _start_prometheus(stack: ExitStack, folder: Path, targets: list[str], say: Say) -> str | None:
    """The URL of a real Prometheus when one can be started."""
    program = find_prometheus()
    if program is None:
        return None
    prometheus = LocalPrometheus(program, folder, targets)
    stack.callback(prometheus.close)
    if prometheus.ready():
        return prometheus.url
    say(f"{program} did not come up; its exporters are read directly instead")
    return None


def _settings(targets: list[str], prometheus: str | None) -> Settings:
    if prometheus is None:
        source: dict[str, object] = {"name": "shop", "type": "scrape", "targets": targets}
        queries, writes = SCRAPE_QUERIES, []
    else:
        source = {"name": "shop", "type": "prometheus", "url": prometheus}
        queries, writes = PROMQL_QUERIES, [{"url": f"{prometheus}/api/v1/write"}]
    detectors = [
        {
            "name": name,
            "source": "shop",
            "query": query,
            "step": "1s",
            "delay": "1s",
            "history": "5m",
            "model": MODELS[name],
            "policy": POLICIES[name] | {"hold": "2s", "recover": "10s"},
        }
        for name, query in queries.items()
    ]
    return parse(
        Settings,
        {"sources": [source], "detectors": detectors, "outputs": {"remote_write": writes}},
    )


def _introduce(address: Address, prometheus: str | None, say: Say) -> None:
    how = f"a real Prometheus at {prometheus}" if prometheus else "scrapes of its exporters"
    say("")
    say(f"  Open {address.url}        (API: {address.url}/api/docs)")
    say("")
    say(f"  Watching a shop of five services through {how}: latency, traffic, errors.")
    if prometheus:
        say(f"  Scores go back to it: {prometheus}/graph?g0.expr=anomaly_score&g0.tab=0")
    say(f"  After {FIRST_INCIDENT_SECONDS:.0f} s, and then every {CYCLE_SECONDS:.0f} s:")
    for incident in INCIDENTS:
        at = FIRST_INCIDENT_SECONDS + incident.at_seconds
        say(f"    {at:4.0f} s  {incident.service}: {incident.text}, {incident.for_seconds:.0f} s")
    say("  Ctrl-C ends everything.")
    say("")


def _watch(url: str, say: Say) -> None:
    with Client(url) as client:
        for message, line in follow(client):
            # The engine is this very process: a lost connection is its end.
            if line and message["type"] != "reconnecting":
                say(line)
