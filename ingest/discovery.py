"""What series a Prometheus has: names, types, help, labels, by prometheus-api-client.

That library blocks, so it runs in a thread, with the credentials and certificates of the source.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect

from ingest.http import HttpClient
from models.errors import QueryRejected, SourceUnavailable
from models.query import MetricInfo
from models.source import Connection

T = TypeVar("T")


class Discovery:
    """Asks a server what it has. url: up to, but without, `/api/v1`."""

    def __init__(self, url: str, settings: Connection, http: HttpClient) -> None:
        self._url = url
        self._settings = settings
        self._http = http

    async def metrics(self) -> list[MetricInfo]:
        """Every metric by name; type, help and unit where the server knows them."""

        def ask(server: PrometheusConnect) -> list[MetricInfo]:
            told = {entry["metric_name"]: entry for entry in server.get_metric_metadata("")}
            return [_info(name, told) for name in sorted(set(server.all_metrics()))]

        return await self._ask(ask)

    async def labels(self, selector: str | None) -> list[str]:
        """Names of labels of the chosen series."""
        return await self._ask(lambda server: server.get_label_names(params=_chosen(selector)))

    async def label_values(self, label: str, selector: str | None) -> list[str]:
        """Values of a label in the chosen series."""
        return await self._ask(
            lambda server: server.get_label_values(label, params=_chosen(selector))
        )

    async def _ask(self, ask: Callable[[PrometheusConnect], T]) -> T:
        headers = await self._http.headers()
        try:
            return await asyncio.to_thread(self._once, headers, ask)
        except PrometheusApiClientException as error:
            raise QueryRejected(str(error)[:400]) from error
        except (requests.RequestException, ValueError, KeyError) as error:
            raise SourceUnavailable(f"{self._url}: {error}") from error

    def _once(self, headers: dict[str, str], ask: Callable[[PrometheusConnect], T]) -> T:
        settings = self._settings
        with requests.Session() as session:
            session.trust_env = False
            session.verify = settings.ca_file or not settings.insecure_skip_verify
            if settings.client_cert_file is not None:
                key = settings.client_key_file or settings.client_cert_file
                session.cert = (settings.client_cert_file, key)
            if settings.proxy is not None:
                session.proxies = dict.fromkeys(("http", "https"), str(settings.proxy))
            timeout = -(-settings.timeout // 1000)
            return ask(PrometheusConnect(self._url, headers, session=session, timeout=timeout))


def _info(name: str, told: Mapping[str, Mapping[str, Any]]) -> MetricInfo:
    # Counters and histograms are described without their suffix.
    bases = [name, *(name.removesuffix(end) for end in ("_total", "_count", "_sum", "_bucket"))]
    known = next((told[base] for base in bases if base in told), {})
    return MetricInfo(
        name=name,
        type=str(known.get("type", "")),
        help=str(known.get("help", "")),
        unit=str(known.get("unit", "")),
    )


def _chosen(selector: str | None) -> dict[str, str]:
    return {} if selector is None else {"match[]": selector}
