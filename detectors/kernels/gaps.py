"""Steps without a sample: what stood before, and how many are missing in a row."""

from models.columns import Flags, Floats, Rows
from models.jit import kernel


@kernel
def carry_previous(rows: Rows, values: Floats, missing: Flags, last: Floats) -> None:
    """Give each missing sample its row's value before it; changes `values` and `last`.

    Samples stand in order of time within a row. last: (rows,) newest value of each row.
    """
    for i in range(len(rows)):
        if missing[i]:
            values[i] = last[rows[i]]
        else:
            last[rows[i]] = values[i]


@kernel
def count_missing(rows: Rows, missing: Flags, run: Rows, out: Floats) -> None:
    """How many samples of its row are missing in a row, up to each sample; 0 for one that is there.

    run: (rows,) int32, the count at the end of the batch before; changed. out: (n,) float64.
    """
    for i in range(len(rows)):
        run[rows[i]] = run[rows[i]] + 1 if missing[i] else 0
        out[i] = run[rows[i]]
