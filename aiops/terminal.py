"""Feed messages as lines for people."""

import time
from collections.abc import Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed

from api.client import Client
from models.labels import Labels

RECONNECT_SECONDS = 2.0
_ARROWS = {"above": "▲", "below": "▼", "missing": "∅"}


def follow(client: Client) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Messages with their lines; reconnects with the last cursor when the connection ends.

    Raises OSError when the engine cannot be reached at first.
    """
    cursor: str | None = None
    while True:
        try:
            for message in client.watch(("anomalies", "detectors"), cursor):
                cursor = message.get("cursor", cursor)
                yield message, describe(message)
        except (OSError, ConnectionClosed):
            if cursor is None:
                raise
        yield {"type": "reconnecting"}, "… connection lost, reconnecting"
        time.sleep(RECONNECT_SECONDS)


def describe(message: dict[str, Any]) -> str | None:
    """One line, or None for what only machines need."""
    kind = message.get("type")
    if kind == "anomaly":
        return _anomaly(message["data"])
    if kind == "detector":
        status = message["data"]
        return f"           {status['name']} is {status['state']}: {status['reason']}"
    if kind in ("gap", "error"):
        return f"{kind}: {message.get('reason') or message.get('detail')}"
    return None


def _anomaly(anomaly: dict[str, Any]) -> str:
    why = anomaly["explanation"]
    labels = Labels(anomaly["labels"])
    arrow = _ARROWS.get(anomaly["direction"], "?")
    clock = anomaly["sample_at"][11:19]
    if anomaly["state"] == "closed":
        state = "closed"
    elif anomaly["sample_at"] == anomaly["opened_at"]:
        state = "OPEN  "
    else:
        state = "higher"
    if why["missing_steps"]:
        reason = f"missing for {why['missing_steps']} steps"
    else:
        reason = f"saw {_short(why['observed'])}, expected {_short(why['expected'])}"
        if why["upper"] is not None:
            reason += f" ({_short(why['lower'])} to {_short(why['upper'])})"
    if why.get("spoke"):
        reason += f" by {why['spoke']}"
    rare = f"{why['outside']} of {why['scored']} outside so far"
    return (
        f"{clock}Z  {state} {arrow} {anomaly['detector']} {labels} "
        f"{reason}; score {_short(anomaly['peak_score'])}; {rare}"
    )


def _short(number: float | None) -> str:
    return "?" if number is None else f"{number:.4g}"
