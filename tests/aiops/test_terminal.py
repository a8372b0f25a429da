from aiops.terminal import describe
from tests.aiops.test_store import anomaly


def line(**changes):
    told = anomaly("a", 1_795_205_148_000, **changes).model_dump(mode="json")
    return describe({"type": "anomaly", "data": told})


def test_an_anomaly_is_one_line_that_says_why():
    assert line() == (
        '20:05:48Z  OPEN   ▲ shop {service="a"} saw 2, expected 1 (0.5 to 1.5); score 2; '
        "0 of 0 outside so far"
    )
    assert "higher ▲" in line(sample_at=1_795_205_149_000)
    assert "closed ▲" in line(state="closed", ended_at=1_795_205_149_000)


def test_states_and_gaps_are_told_and_heartbeats_are_not():
    status = {"name": "shop", "state": "failed", "reason": "no route"}
    assert describe({"type": "detector", "data": status}).strip() == "shop is failed: no route"
    assert describe({"type": "gap", "reason": "older messages are gone"}) == (
        "gap: older messages are gone"
    )
    assert describe({"type": "heartbeat", "cursor": "x-1"}) is None
