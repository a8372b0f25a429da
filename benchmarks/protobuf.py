"""Prometheus's WriteRequest as a class of Google's protobuf, for peers to read with."""

from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

DOUBLE, INT64, TEXT, MESSAGE = 1, 3, 9, 11
OPTIONAL, REPEATED = 1, 3
SHAPES: dict[str, list[tuple[str, int, int, str | None]]] = {
    "Label": [("name", 1, TEXT, None), ("value", 2, TEXT, None)],
    "Sample": [("value", 1, DOUBLE, None), ("timestamp", 2, INT64, None)],
    "TimeSeries": [("labels", 1, MESSAGE, "Label"), ("samples", 2, MESSAGE, "Sample")],
    "WriteRequest": [("timeseries", 1, MESSAGE, "TimeSeries")],
}


def write_request() -> Any:
    """The class, as prometheus/prompb's remote.proto and types.proto define it."""
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="prometheus")
    for name, fields in SHAPES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, own in fields:
            label = OPTIONAL if own is None else REPEATED
            made = message.field.add(name=field, number=number, type=kind, label=label)
            if own is not None:
                made.type_name = f".prometheus.{own}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))
