"""How a detector stands, for people and for the API."""

from aiops.collector import Collector
from aiops.shard import Stream
from aiops.store.records import Registered
from models.detector import BudgetStatus, State, Status


def standing(
    registered: Registered, stream: Stream | None, collector: Collector | None, now_ms: int
) -> Status:
    """From its stream and its reader, as far as there are any."""
    name = registered.document.name
    if stream is None:
        return Status(name=name, state=State.FAILED, reason="its source or kind is not there")
    state, reason = collector.state() if collector else (State.STOPPED, "not enabled")
    position_ms = stream.position_ms
    return Status(
        name=name,
        state=state,
        reason=reason,
        position=position_ms,
        live_since=registered.live_after_ms,
        lag_seconds=None if position_ms is None else (now_ms - position_ms) / 1000,
        series=stream.series_count,
        warming=stream.warming,
        samples_total=stream.samples_total,
        anomalies_open=stream.decider.open_count,
        budget=_budget(stream, registered.live_after_ms),
        last_error=collector.last_error if collector else None,
        last_error_at=collector.last_error_ms if collector else None,
    )


def _budget(stream: Stream, since_ms: int) -> BudgetStatus | None:
    asked, keeper = stream.document.budget, stream.budget
    if asked is None or keeper is None:
        return None
    realised, interval = keeper.realised(stream.position_ms or since_ms, since_ms)
    return BudgetStatus(asked=asked, edge=keeper.edge, realised=realised, interval=interval)
