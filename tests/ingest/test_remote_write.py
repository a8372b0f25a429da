"""Remote-write bodies against Google's protobuf library, and against a plain reading of damage."""

import struct

import cramjam
import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.known import KnownSeries
from ingest.remote_write import BODY_BYTES_MAX, read_body
from models.columns import STALE, is_stale
from models.errors import InvalidInput
from models.labels import Labels


def request_class():
    """prometheus.WriteRequest, as remote.proto and types.proto define it."""
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="prometheus")
    shapes = {
        "Label": [("name", 1, 9, ""), ("value", 2, 9, "")],
        "Sample": [("value", 1, 1, ""), ("timestamp", 2, 3, "")],
        "TimeSeries": [("labels", 1, 11, "Label"), ("samples", 2, 11, "Sample")],
        "MetricMetadata": [("type", 1, 5, ""), ("help", 4, 9, "")],
        "WriteRequest": [
            ("timeseries", 1, 11, "TimeSeries"),
            ("metadata", 3, 11, "MetricMetadata"),
        ],
    }
    for name, fields in shapes.items():
        message = file.message_type.add(name=name)
        for field, number, kind, own in fields:
            repeated = own != ""
            message.field.add(
                name=field, number=number, type=kind, label=3 if repeated else 1,
                type_name=f".prometheus.{own}" if own else None,
            )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("prometheus.WriteRequest")
    return message_factory.GetMessageClass(found)


WriteRequest = request_class()

labels_of = st.dictionaries(
    st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), max_size=4
)
samples_of = st.lists(st.tuples(st.floats(), st.integers(-(2**63), 2**63 - 1)), max_size=3)
series_of = st.lists(st.tuples(labels_of, samples_of), max_size=5)


def encoded(series, metadata=False):
    request = WriteRequest()
    for labels, samples in series:
        own = request.timeseries.add()
        for name, value in sorted(labels.items()):
            own.labels.add(name=name, value=value)
        for value, at in samples:
            own.samples.add(value=value, timestamp=at)
    if metadata:
        request.metadata.add(type=1, help="counts")
    return request.SerializeToString()


def read(raw, known=None):
    return read_body(
        bytes(cramjam.snappy.compress_raw(raw)), KnownSeries() if known is None else known
    )


def listed(columns):
    return [
        (dict(columns.labels[s]), struct.pack("<d", v), t)
        for s, v, t in zip(
            columns.series, columns.values, columns.timestamps_ms.tolist(), strict=True
        )
    ]


def expected(raw):
    request = WriteRequest.FromString(raw)
    return [
        ({label.name: label.value for label in own.labels}, struct.pack("<d", s.value), s.timestamp)
        for own in request.timeseries
        for s in own.samples
    ]


@settings(max_examples=200)
@given(first=series_of, second=series_of, metadata=st.booleans())
def test_it_reads_what_protobuf_reads(first, second, metadata):
    known = KnownSeries()
    for series in (first, second + first, first):
        raw = encoded(series, metadata)
        assert listed(read(raw, known)) == expected(raw)


@settings(max_examples=500)
@given(
    series=series_of,
    places=st.lists(st.integers(0, 5_000), min_size=1, max_size=4),
    byte=st.integers(0, 255),
    how=st.sampled_from(["set", "cut", "put", "twice"]),
)
def test_damage_is_read_as_protobuf_reads_it_or_refused(series, places, byte, how):
    raw = bytearray(encoded(series, metadata=True))
    for place in places:
        k = place % (len(raw) + 1)
        if how == "set":
            raw[k : k + 1] = bytes([byte])
        elif how == "cut":
            del raw[k:]
        elif how == "put":
            raw[k:k] = bytes([byte])
        else:
            raw[k:k] = raw[k : k + 9]
    try:
        got = read(bytes(raw))
    except InvalidInput:
        return
    assert len(got.timestamps_ms) == len(got.series) == len(got.values)
    try:
        wanted = expected(bytes(raw))
    except Exception:  # noqa: BLE001  # It is stricter: it knows the types of fields we pass over.
        return
    # A label said twice: the last one counts, and an empty value is no label.
    assert [s[1:] for s in listed(got)] == [s[1:] for s in wanted]


def test_another_order_of_fields_is_read_too():
    label, sample = (
        b"\x0a\x06\x0a\x01a\x12\x01b",
        b"\x12\x0b\x09" + struct.pack("<d", 2.5) + b"\x10\x07",
    )
    raw = b"\x0a" + bytes([len(label) + len(sample)]) + sample + label
    got = read(raw)
    assert got.labels == (Labels({"a": "b"}),)
    assert got.values.tolist() == [2.5]
    assert got.timestamps_ms.tolist() == [7]


def test_samples_without_a_field_are_zeros_however_many():
    raw = b"\x0a\x80\x10" + b"\x12\x00" * 1024
    got = read(raw * 3)
    assert got.values.tolist() == [0.0] * 3072
    assert got.timestamps_ms.tolist() == [0] * 3072
    assert len(read(b"\x0a\x00" * 5000).labels) == 5000


def test_stale_markers_keep_their_bits():
    got = read(encoded([({"a": "b"}, [(STALE, 1), (float("nan"), 2)])]))
    assert is_stale(got.values).tolist() == [True, False]


def test_the_same_series_come_as_the_same_tuple():
    known = KnownSeries()
    raw = encoded([({"a": str(k)}, [(1.0, 1)]) for k in range(100)])
    assert read(raw, known).labels is read(raw, known).labels


@pytest.mark.parametrize("body", [b"", b"\xff\xff", b"hello"])
def test_what_is_not_snappy_is_refused(body):
    with pytest.raises(InvalidInput, match="remote write: "):
        read_body(body, KnownSeries())


def test_a_bomb_is_refused_before_it_is_unpacked():
    body = bytes(cramjam.snappy.compress_raw(bytes(BODY_BYTES_MAX + 1)))
    with pytest.raises(InvalidInput, match="larger than 64 MiB"):
        read_body(body, KnownSeries())


def test_a_label_that_is_not_text_is_refused():
    label = b"\x0a\x06\x0a\x01\xff\x12\x01b"
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read(b"\x0a" + bytes([len(label)]) + label)


def test_columns_are_numpy():
    assert read(b"").values.dtype == np.float64
