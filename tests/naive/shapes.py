"""Distance to the k-th nearest window of the past, by comparing with each of them."""

import math

import numpy as np


def nearest_distances(values, length, kept, neighbours, exclude, centered):
    """One distance a sample; infinite while there are too few windows.

    kept: samples of the past that are known; a window must lie among them wholly.
    """
    out = []
    for now in range(len(values)):
        query = values[now - length + 1 : now + 1]
        found = []
        for lag in range(exclude + 1, now - length + 2):
            if lag + length - 1 > kept:
                break
            other = values[now - lag - length + 1 : now - lag + 1]
            difference = query - other
            if centered:
                difference = difference - difference.mean()
            found.append(math.sqrt((difference**2).mean()))
        found.sort()
        out.append(found[neighbours - 1] if len(found) >= neighbours else math.inf)
    return np.array(out)
