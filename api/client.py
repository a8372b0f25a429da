"""The Python client of the API; the command line uses it too."""

import json
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from websockets.sync.client import connect

from models.anomaly import Anomaly
from models.detector import Detector, Status
from models.errors import AiopsError
from models.job import Backtest, Detect, Detected, Job, Training, Version

TIMEOUT_SECONDS = 30.0


class ApiProblem(AiopsError):
    """The API answered with a problem document."""

    def __init__(self, document: dict[str, Any]) -> None:
        detail = str(document.get("detail", "no detail"))
        super().__init__(detail)
        self.code = str(document.get("code", "http_error"))
        self.retryable = bool(document.get("retryable", False))
        self.status = int(document.get("status", 0))
        self.document = document


class Client:
    """Speaks to one engine. Raises ApiProblem when it refuses, httpx.HTTPError when it is away."""

    def __init__(self, url: str = "http://127.0.0.1:8321", token: str | None = None) -> None:
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=f"{self._url}/api/v1", headers=self._headers, timeout=TIMEOUT_SECONDS
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def detectors(self) -> Iterator[Detector]:
        """All registered detectors, by name."""
        for entry in self._pages("/detectors", {}):
            yield Detector.model_validate(entry)

    def detector(self, name: str) -> Detector:
        """One detector."""
        return Detector.model_validate(self._call("GET", f"/detectors/{name}"))

    def apply(self, document: Detector) -> Detector:
        """Create or replace."""
        body = document.model_dump(mode="json")
        return Detector.model_validate(self._call("PUT", f"/detectors/{document.name}", body))

    def delete(self, name: str) -> None:
        """Stop and forget."""
        self._call("DELETE", f"/detectors/{name}")

    def start(self, name: str) -> Status:
        """Run."""
        return Status.model_validate(self._call("POST", f"/detectors/{name}/start"))

    def stop(self, name: str) -> Status:
        """Stop."""
        return Status.model_validate(self._call("POST", f"/detectors/{name}/stop"))

    def status(self, name: str) -> Status:
        """How a detector stands."""
        return Status.model_validate(self._call("GET", f"/detectors/{name}/status"))

    def train(self, name: str, asked: Training) -> Job:
        """Have a detector learn a stretch of its past."""
        body = asked.model_dump(mode="json")
        return Job.model_validate(self._call("POST", f"/detectors/{name}/train", body))

    def backtest(self, name: str, asked: Backtest) -> Job:
        """Judge a stretch of the past as if it were live."""
        body = asked.model_dump(mode="json")
        return Job.model_validate(self._call("POST", f"/detectors/{name}/backtest", body))

    def detect(self, name: str, asked: Detect) -> Detected:
        """Scores now, from a copy of what a detector has learned."""
        body = asked.model_dump(mode="json", exclude_none=True)
        return Detected.model_validate(self._call("POST", f"/detectors/{name}/detect", body))

    def job(self, job_id: str) -> Job:
        """One job."""
        return Job.model_validate(self._call("GET", f"/jobs/{job_id}"))

    def cancel(self, job_id: str) -> Job:
        """Stop a job."""
        return Job.model_validate(self._call("DELETE", f"/jobs/{job_id}"))

    def versions(self, name: str) -> list[Version]:
        """What a detector's trainings left, the newest first."""
        found = self._call("GET", f"/detectors/{name}/versions")["items"]
        return [Version.model_validate(entry) for entry in found]

    def activate(self, name: str, version: str) -> Version:
        """Let a detector go on from a version."""
        path = f"/detectors/{name}/versions/{version}/activate"
        return Version.model_validate(self._call("POST", path))

    def anomalies(self, **chosen: str) -> Iterator[Anomaly]:
        """Recorded anomalies, the newest first; filters as the API names them."""
        for entry in self._pages("/anomalies", chosen):
            yield Anomaly.model_validate(entry)

    def watch(
        self, topics: Sequence[str] = ("anomalies",), since: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Messages of the feed as they come, until the connection ends.

        A message's `cursor` passed as `since` continues after it.
        """
        host = urlsplit(self._url)
        scheme = "wss" if host.scheme == "https" else "ws"
        address = f"{scheme}://{host.netloc}{host.path}/api/v1/feed"
        request = {"op": "subscribe", "topics": list(topics), "since": since}
        with connect(address, additional_headers=self._headers, max_size=None) as socket:
            socket.send(json.dumps(request))
            for frame in socket:
                yield json.loads(frame)

    def _pages(self, path: str, chosen: dict[str, str]) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            query = chosen | ({} if cursor is None else {"cursor": cursor})
            page = self._call("GET", path, query=query)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
    ) -> Any:
        answer = self._http.request(method, path, json=body, params=query)
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            document = answer.json()
        except ValueError:
            document = {"detail": answer.text[:400]}
        raise ApiProblem({"status": answer.status_code} | document)
