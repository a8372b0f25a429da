"""Arrays without a reference count, for loops over rows."""

from typing import Any

from numba.core import config
from numba.core.extending import intrinsic

from detectors.kernels.jit import inlined

Entries = Any
"""A contiguous array, float32 or float64 by the precision asked for; types cannot say which."""

if getattr(config, "DISABLE_JIT"):  # noqa: B009  # Types do not know it.

    def borrow(entries: Entries) -> Entries:
        """As below, uncompiled."""
        return entries

else:

    @intrinsic
    def _borrow(typing, entries):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            make = context.make_array(signature.args[0])
            owned, view = make(context, builder, arguments[0]), make(context, builder)
            fields = ("data", "shape", "strides", "itemsize")
            whole = {name: getattr(owned, name) for name in fields}
            context.populate_array(view, **whole, meminfo=None, parent=None)
            return view._getvalue()

        return entries(entries), generate

    @inlined
    def borrow(entries: Entries) -> Entries:
        """The same array, valid while `entries` is; none of its slices is counted.

        Counting references to rows and slices, and to arrays on their way into a function, takes
        longer than all that is done with them: 290 of 310 ns for a sample of `mad`.
        """
        return _borrow(entries)  # type: ignore[call-arg]  # numba adds the first one
