"""Bodies of Prometheus's remote-write 2.0: names in a table of symbols, series point into it.

Source: the Remote-Write 2.0 specification, io.prometheus.write.v2.Request. Native histograms have
no number to judge: they are passed over and not counted as written.
"""

from typing import NamedTuple

import numpy as np

from ingest.answers import Columns
from ingest.remote_write import decompress, fields_of, refused
from models.labels import Labels

SYMBOLS, TIMESERIES = 4, 5
LABELS_REFS, SAMPLES = 1, 2
VALUE, TIMESTAMP = 1, 2


class Written(NamedTuple):
    """What the sender is told to have been written."""

    samples: int
    histograms: int
    exemplars: int


def read_body_v2(body: bytes) -> tuple[Columns, Written]:
    """The samples of a snappy-compressed Request, series by series as they come.

    Raises InvalidInput when it is not one.
    """
    symbols: list[str] = []
    rows: list[bytes] = []
    for number, own in fields_of(bytes(decompress(body))):
        if number == SYMBOLS and isinstance(own, bytes):
            try:
                symbols.append(own.decode())
            except UnicodeDecodeError as error:
                raise refused(f"a symbol is not UTF-8: {error}") from error
        elif number == TIMESERIES and isinstance(own, bytes):
            rows.append(own)
    if rows and (not symbols or symbols[0]):
        raise refused("the first symbol must be the empty string")
    labels: list[Labels] = []
    series: list[int] = []
    times: list[int] = []
    values: list[float] = []
    for k, row in enumerate(rows):
        refs: list[int] = []
        for number, own in fields_of(row):
            if number == LABELS_REFS:
                refs += _packed(own) if isinstance(own, bytes) else [own]
            elif number == SAMPLES and isinstance(own, bytes):
                sample = dict(fields_of(own))
                bits, at = sample.get(VALUE, 0), sample.get(TIMESTAMP, 0)
                if not isinstance(bits, int) or not isinstance(at, int):
                    raise refused("a sample is not a value and a timestamp")
                series.append(k)
                times.append(at - (1 << 64) if at >> 63 else at)
                values.append(float(np.uint64(bits).view(np.float64)))
        labels.append(_labels(refs, symbols))
    columns = Columns(
        "remote write",
        tuple(labels),
        np.array(series, np.int32),
        np.array(times, np.int64),
        np.array(values, np.float64),
    )
    return columns, Written(len(values), 0, 0)


def _labels(refs: list[int], symbols: list[str]) -> Labels:
    if len(refs) % 2 or any(ref >= len(symbols) for ref in refs):
        raise refused(f"label references {refs[:8]} do not point into {len(symbols)} symbols")
    names = [symbols[ref] for ref in refs[::2]]
    if "" in names or len(set(names)) < len(names):
        raise refused(f"a series has empty or repeated label names: {names[:8]}")
    return Labels(dict(zip(names, (symbols[ref] for ref in refs[1::2]), strict=True)))


def _packed(raw: bytes) -> list[int]:
    """Varints one behind the other."""
    numbers, number, shift = [], 0, 0
    for byte in raw:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number = shift = 0
        elif shift > 28:
            raise refused("a label reference is too large")
    if shift:
        raise refused("label references are cut off")
    return numbers
