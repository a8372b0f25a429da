"""The channels of a group at one instant as a point: each standardised by its own slow moments.

Deviations are told by their inverse hyperbolic sine: near the mean as they are, far from it by
their logarithm, so that one wild channel does not drown what all of them do together.
"""

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.points import standardise
from models.columns import Floats
from models.jit import kernel

VALUE_MAX = 1e30
FADING = 0.98
"""What is left, a step later, of the place of a channel that has no sample."""


@kernel
def place(values: Floats, seen: NDArray[np.int64], moments: Floats, point: Floats) -> int:
    """Make values a point, by how far each channel is from its mean; how many there are.

    values: (d,) NaN for a channel without a sample: it stays where it was and fades to its mean.
    seen: (d,) samples of each channel so far. moments: (d, 2) its mean and variance. point: (d,)
    overwritten, unless there is no value at all, which teaches nothing.
    """
    there = 0
    for c in range(len(values)):
        there += abs(values[c]) <= VALUE_MAX
    if there == 0:
        return 0
    for c in range(len(values)):
        if abs(values[c]) <= VALUE_MAX:
            z, _, _ = standardise(values[c], seen[c], moments[c])
            point[c] = np.arcsinh(z)
            seen[c] += 1
        else:
            point[c] *= FADING
    return there
