import json

import pytest

from models.detector import Detector, Logs
from models.errors import InvalidInput
from models.validation import parse

# As the design writes it.
DOCUMENT = {
    "name": "checkout-latency",
    "source": "prom",
    "query": "sum by (service) (rate(http_requests_total[1m]))",
    "step": "15s",
    "model": {"kind": "mad", "window": "1h", "threshold": 3.5},
    "history": "7d",
    "policy": {
        "direction": "both",
        "min_deviation": 0,
        "min_relative_deviation": 0,
        "hold": "0s",
        "recover": "1m",
        "missing": "ignore",
    },
    "labels": {"team": "shop"},
    "enabled": True,
}


def test_a_document_comes_back_as_it_was_written():
    written = parse(Detector, DOCUMENT).model_dump(mode="json")
    logs = Logs().model_dump(mode="json")
    assert written == DOCUMENT | {
        "delay": "5s",
        "transform": "none",
        "logs": logs,
        "budget": None,
        "group_by": None,
        "group_channels": 5,
    }
    assert parse(Detector, json.loads(json.dumps(written))).model_dump(mode="json") == written


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"name": "Checkout"}, "/name", "pattern"),
        ({"qurey": "up"}, "/qurey", "did you mean 'query'"),
        ({"policy": {"hodl": "1m"}}, "/policy/hodl", "did you mean 'hold'"),
        ({"policy": {"direction": "up"}}, "/policy/direction", "'both', 'above' or 'below'"),
        ({"step": "10"}, "/step", "write it like 15s"),
        ({"step": "100ms"}, "/step", "greater than or equal to 1000"),
        ({"labels": {"for": "x"}}, "", "written by the engine"),
        ({"labels": {"a-b": "x"}}, "/labels/a-b/[key]", "pattern"),
        ({"model": {}}, "/model/kind", "required"),
        ({"query": ""}, "/query", "at least 1 character"),
        ({"policy": {"min_deviation": float("nan")}}, "/policy/min_deviation", "finite"),
    ],
)
def test_a_wrong_document_names_the_field_and_what_would_be_right(change, pointer, words):
    with pytest.raises(InvalidInput) as caught:
        parse(Detector, DOCUMENT | change)
    fault = caught.value.faults[0]
    assert fault.pointer == pointer
    assert words in fault.detail


def test_only_what_learning_depends_on_makes_a_detector_learn_anew():
    before = parse(Detector, DOCUMENT)

    def learns_anew(**change):
        return parse(Detector, DOCUMENT | change).learned_from != before.learned_from

    assert learns_anew(query="up")
    assert learns_anew(step="30s")
    assert learns_anew(model={"kind": "ewma"})
    assert learns_anew(policy={"missing": "zero"})
    assert not learns_anew(policy={"hold": "5m"})
    assert not learns_anew(labels={}, enabled=False, delay="30s")
