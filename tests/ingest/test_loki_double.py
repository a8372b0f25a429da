"""The double of Loki against answers of a real one."""

import json
from urllib.parse import urlencode

import httpx
import pytest

from tests.loki import FakeLoki

ANSWERED = [
    *"streams_backward_limit10 streams_forward_limit10 streams_default_limit100 streams_dup".split(),
    *"streams_empty streams_line_filter streams_out_of_order streams_partial_kept".split(),
    *"streams_structured_metadata streams_unicode nanosecond_time".split(),
    *"matrix_count_by_level_10s matrix_count_by_level_1m matrix_default_step matrix_empty".split(),
    *"matrix_bytes matrix_rate".split(),
]
REFUSED = [
    *"direction end_before_start limit_negative limit_over_5000 limit_zero no_matcher".split(),
    *"empty_matcher not_found resolution_11000 step_zero bad_time".split(),
]
UNKNOWN = [
    *"streams_json_parser streams_logfmt_parser streams_pattern_parser streams_interval since".split()
]


@pytest.fixture
def loki(recorded):
    made = FakeLoki()
    made.load(json.loads((recorded / "loki" / "_corpus.json").read_text(encoding="utf-8")))
    yield made
    made.close()


def ask(loki, recorded, name):
    exchange = json.loads((recorded / "loki" / f"{name}.json").read_text(encoding="utf-8"))
    request = exchange["request"]
    path = f"{request['path']}?{urlencode(request['params'] or {})}"
    return httpx.request(request["method"], loki.url + path), exchange["response"]


def sorted_result(data):
    return sorted(
        (sorted((entry.get("stream") or entry.get("metric")).items()), sorted(entry["values"]))
        for entry in data["result"]
    )


@pytest.mark.parametrize("name", ANSWERED)
def test_answers_as_recorded(loki, recorded, name):
    got, expected = ask(loki, recorded, f"range_{name}")
    assert got.status_code == 200, got.text
    assert sorted_result(got.json()["data"]) == sorted_result(expected["body"]["data"])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_as_recorded(loki, recorded, name):
    got, expected = ask(loki, recorded, f"err_{name}")
    assert (got.status_code, got.text) == (expected["status"], expected["body"])


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_it_does_not_know_it_refuses(loki, recorded, name):
    assert ask(loki, recorded, f"range_{name}")[0].status_code == 501
