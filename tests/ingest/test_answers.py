"""The quick reader of answers against the plain one."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.answers import read_answer
from ingest.http import Answer
from ingest.known import KnownSeries
from ingest.prometheus import _read_plainly
from models.errors import SourceUnavailable
from models.labels import Labels

TIGHT = {"separators": (",", ":"), "ensure_ascii": False}

names = st.sampled_from(["__name__", "job", "instance", "path"])
texts = st.text(max_size=12) | st.sampled_from(['a"b', "c\\d", "{}", ']},"', "é", "\n", ""])
numbers = (
    st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.integers(-(10**20), 10**20).map(str)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str)
    | st.sampled_from(
        ["NaN", "+Inf", "-Inf", "Inf", "0", "-0", "1e5", "1E-7", "007", "1_0", " 1", ""]
    )
)
moments = (
    st.integers(0, 2**31).map(str)
    | st.decimals(0, 2**31, allow_nan=False, places=3).map(str)
    | st.sampled_from(["1.5", "01", "1e3", "-2", "1.2345", "0"])
)
series = st.tuples(
    st.dictionaries(names, texts, max_size=3),
    st.lists(st.tuples(moments, numbers), min_size=1, max_size=4),
)


def answer(all_series, kind="matrix", tail=""):
    parts = []
    for labels, samples in all_series:
        points = ",".join(f'[{at},"{value}"]' for at, value in samples)
        body = (
            f'"values":[{points}]'
            if kind == "matrix"
            else f'"value":{points.split("],")[0].rstrip("]")}]'
        )
        parts.append(f'{{"metric":{json.dumps(labels, **TIGHT)},{body}}}')
    data = f'{{"resultType":"{kind}","result":[{",".join(parts)}]}}'
    return f'{{"status":"success","data":{data}{tail}}}'.encode()


def assert_alike(body, known):
    quick = read_answer(body, known)
    if quick is None or quick.kind != "matrix":
        return False
    plain = _read_plainly(Answer(200, {}, body))
    assert quick.labels == plain.labels
    np.testing.assert_array_equal(quick.series, plain.series)
    np.testing.assert_array_equal(quick.timestamps_ms, plain.timestamps_ms)
    np.testing.assert_array_equal(quick.values, plain.values)
    assert quick.warnings == plain.warnings
    return True


@settings(max_examples=300)
@given(first=st.lists(series, max_size=4), second=st.lists(series, max_size=4), seed=st.integers())
def test_whatever_it_reads_the_plain_reader_reads_alike(first, second, seed):
    known = KnownSeries()
    assert_alike(answer(first), known)
    mixed = first + second
    random.Random(seed).shuffle(mixed)
    assert_alike(answer(mixed), known)
    assert_alike(answer(first), known)


@settings(max_examples=500)
@given(
    made=st.lists(series, min_size=1, max_size=3),
    places=st.lists(st.integers(0, 2000), min_size=1, max_size=3),
    how=st.sampled_from(["cut", "drop", "put", "twice", "swap"]),
    byte=st.sampled_from(list(b'{}[],:"\\0123456789.eE+- NaInf\xff\x00')),
)
def test_a_damaged_answer_is_read_alike_or_left_to_the_plain_reader(made, places, how, byte):
    known = KnownSeries()
    body = bytearray(answer(made))
    assert_alike(bytes(body), known)
    for place in places:
        k = place % max(len(body), 1)
        if how == "cut":
            del body[k:]
        elif how == "drop":
            del body[k : k + 1]
        elif how == "put":
            body[k:k] = bytes([byte])
        elif how == "twice":
            body[k:k] = body[k : k + 20]
        else:
            body[k : k + 1] = bytes([byte])
    try:
        assert_alike(bytes(body), known)
    except SourceUnavailable as error:
        pytest.fail(f"read {bytes(body)!r}, which the plain reader refuses: {error.detail}")


def test_what_prometheus_writes_is_read_the_quick_way():
    made = [
        (
            {"__name__": "up", "job": "a", "path": 'q"\\'},
            [("1795205148.123", "0.1"), ("1795205163", "NaN")],
        ),
        ({}, [("1", "+Inf"), ("2", "1e-07")]),
    ]
    known = KnownSeries()
    assert assert_alike(answer(made), known)
    assert assert_alike(answer(made, tail=',"warnings":["slow"],"infos":["a gauge"]'), known)
    vector = read_answer(answer(made, "vector"), known)
    assert vector.kind == "vector"
    assert vector.values.tolist() == [0.1, np.inf]
    assert vector.labels[0] == Labels({"__name__": "up", "job": "a", "path": 'q"\\'})


def test_the_same_series_come_as_the_same_tuple():
    known = KnownSeries()
    made = [({"a": str(k)}, [("1", "2")]) for k in range(200)]
    first = read_answer(answer(made), known)
    assert read_answer(answer(made), known).labels is first.labels
    turned = read_answer(answer(made[::-1]), known)
    assert turned.labels == first.labels[::-1]
    assert len(known) == 200


def test_more_series_than_may_be_known_start_afresh(monkeypatch):
    monkeypatch.setattr("ingest.known.SERIES_MAX", 3)
    known = KnownSeries()
    for begin in range(6):
        made = [({"a": str(k)}, [("1", "2")]) for k in range(begin, begin + 2)]
        columns = read_answer(answer(made), known)
        if columns is not None:
            assert columns.labels == tuple(Labels({"a": str(k)}) for k in range(begin, begin + 2))
        assert len(known) <= 3
