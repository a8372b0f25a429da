"""Compiled functions over arrays: the one place of compiler flags, and of arrays on loan.

`error_model="numpy"`: Python's model checks each division and blocks vectorising (3 to 6 times
slower). No fastmath: NaN means "no judgement" here, and a score may not depend on vector width.
`cache=True` keeps compiled code beside the source. It looks only at the file of the function that
is called, so after an edit of a kernel that others call, `make clean` or touch the callers.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core import config
from numba.core.extending import intrinsic

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


Array = Any
"""Any array; types cannot say that what comes out is what goes in."""

if getattr(config, "DISABLE_JIT"):  # noqa: B009  # Types do not know it.

    def borrow(array: Array) -> Array:
        """As below, uncompiled."""
        return array

else:

    @intrinsic
    def _borrow(typing, array):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            make = context.make_array(signature.args[0])
            owned, view = make(context, builder, arguments[0]), make(context, builder)
            fields = ("data", "shape", "strides", "itemsize")
            whole = {name: getattr(owned, name) for name in fields}
            context.populate_array(view, **whole, meminfo=None, parent=None)
            return view._getvalue()

        return array(array), generate

    @inlined
    def borrow(array: Array) -> Array:
        """The same array, valid while `array` is; none of its slices is counted.

        Counting references to rows and slices, and to arrays on their way into a function, takes
        longer than all that is done with them: 290 of 310 ns for a sample of `mad`.
        """
        return _borrow(array)  # type: ignore[call-arg]  # numba adds the first one
