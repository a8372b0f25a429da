"""The one place of compiler flags.

`error_model="numpy"`: Python's model checks each division and blocks vectorising (3 to 6 times
slower). No fastmath: NaN means "no judgement" here, and a score may not depend on vector width.
`cache=True` keeps compiled code beside the source. It looks only at the file of the function that
is called, so after an edit of a kernel that others call, `make clean` or touch the callers.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a function over arrays and scalars; it runs without the GIL and keeps its type."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: F) -> F:
    """The same for a small part of kernels that stands inside their loops.

    It takes numbers, not arrays: an array costs the call a reference count, and that more than all.
    """
    compiler = numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
    return cast(F, compiler(function))
