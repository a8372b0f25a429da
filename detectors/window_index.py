"""Nearest windows among very many, approximately: hnswlib, for pasts that are too long to scan."""

# pyright: reportMissingImports=false
# It has to be compiled and may be missing.
from typing import Any

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]

NEIGHBOURS, BUILD, SEARCH = 16, 60, 64
"""Links of a window, and candidates while a window is added and looked for: distances are then
within a percent of the exact ones on average (`benchmarks/novelty.py`)."""
ROOM_FIRST = 4_096


class WindowIndex:
    """The windows of one series, of which at least the last `windows` are looked through.

    There are two generations: one that is filled, and the full one before it. Taking single windows
    out of such a graph costs several times what adding them does; a whole generation costs nothing.
    Windows are added by one thread in order, so that an index built anew from the same windows is
    the same. Raises ValueError where hnswlib is not installed.
    """

    def __init__(self, length: int, windows: int) -> None:
        try:
            import hnswlib
        except ImportError as error:
            raise ValueError(
                "looking through so many windows needs hnswlib: pip install 'aiops-engine[hnsw]', "
                "or let windows be 100000 at most"
            ) from error
        self._make: Any = hnswlib.Index
        self._length = length
        self._windows = windows
        self._number = -1
        self._filled: Any = None
        self._full: Any = None

    def first_needed(self, newest: int) -> int:
        """The number of the first window that an index up to window `newest` is built from."""
        return max(0, (newest // self._windows - 1) * self._windows)

    def add(self, first: int, windows: Singles) -> None:
        """Add windows number `first` and on, (n, length), within one generation."""
        generation = first // self._windows
        if generation != self._number:
            self._full = self._filled if generation == self._number + 1 else None
            self._number = generation
            self._filled = self._make("l2", self._length)
            self._filled.init_index(ROOM_FIRST, M=NEIGHBOURS, ef_construction=BUILD)
            self._filled.set_num_threads(1)
            self._filled.set_ef(SEARCH)
        room, wanted = self._filled.get_max_elements(), self._filled.get_current_count()
        wanted += len(windows)
        if wanted > room:
            self._filled.resize_index(max(wanted, min(2 * room, self._windows)))
        self._filled.add_items(windows, np.arange(first, first + len(windows)))

    def squared_distance(self, window: Singles, neighbours: int) -> float:
        """To the k-th nearest window; infinite when there are fewer."""
        found = [np.full(neighbours, np.inf, np.float32)]
        for index in (self._filled, self._full):
            if index is not None:
                count = min(neighbours, index.get_current_count())
                found.append(index.knn_query(window, count)[1][0])
        return float(np.sort(np.concatenate(found))[neighbours - 1])
