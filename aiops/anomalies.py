"""The recorded anomalies, read without holding up the event loop."""

import asyncio

from aiops.store.records import Store
from models.anomaly import Anomaly, AnomalyFilter
from models.errors import NotFound


class Anomalies:
    """What the store holds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, anomaly_id: str) -> Anomaly:
        """One, as it was told last. Raises NotFound."""
        anomaly = await asyncio.to_thread(self._store.anomaly, anomaly_id)
        if anomaly is None:
            raise NotFound(f"no anomaly {anomaly_id!r}")
        return anomaly

    async def listing(
        self, chosen: AnomalyFilter, limit: int, before: tuple[int, str] | None
    ) -> list[Anomaly]:
        """Up to `limit`, the newest start first, those after (start, id) `before` in that order."""
        return await asyncio.to_thread(self._store.anomalies, chosen, limit, before)
