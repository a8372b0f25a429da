"""Eight bytes at a time: what a processor does in one instruction and NumPy has no word for."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import config
from numba.core.extending import intrinsic
from numba.core.types import intp, uint64, void
from numpy.typing import NDArray

from models.jit import inlined

Bytes = NDArray[np.uint8]

if getattr(config, "DISABLE_JIT"):  # noqa: B009  # Types do not know it.

    def load(text: Bytes, at: int) -> Any:
        """As below, uncompiled."""
        return np.frombuffer(text[at : at + 8].tobytes(), "<u8")[0]

    def store(text: Bytes, at: int, word: Any) -> None:
        """As below, uncompiled."""
        text[at : at + 8] = np.frombuffer(np.uint64(word).tobytes(), np.uint8)

    def multiply_high(a: Any, b: Any) -> Any:
        """As below, uncompiled."""
        return np.uint64(int(a) * int(b) >> 64)

    def leading_zeros(word: Any) -> Any:
        """As below, uncompiled."""
        return 64 - int(word).bit_length()

else:
    WORD, LONG = ir.IntType(64), ir.IntType(128)

    @intrinsic
    def _load(typing, text, at):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            place = builder.gep(array.data, [arguments[1]])
            return builder.load(builder.bitcast(place, WORD.as_pointer()), align=1)

        return uint64(text, intp), generate

    @intrinsic
    def _store(typing, text, at, word):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            place = builder.gep(array.data, [arguments[1]])
            builder.store(arguments[2], builder.bitcast(place, WORD.as_pointer()), align=1)
            return context.get_dummy_value()

        return void(text, intp, uint64), generate

    @intrinsic
    def _multiply_high(typing, a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
            long = builder.mul(*(builder.zext(word, LONG) for word in arguments))
            return builder.trunc(builder.lshr(long, ir.Constant(LONG, 64)), WORD)

        return uint64(uint64, uint64), generate

    @intrinsic
    def _leading_zeros(typing, word):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
            return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

        return uint64(uint64), generate

    @inlined
    def load(text: Bytes, at: int) -> Any:
        """The eight bytes from `at` on as a little-endian number; they must be there."""
        return _load(text, at)  # type: ignore[call-arg]  # numba adds the first one

    @inlined
    def store(text: Bytes, at: int, word: Any) -> None:
        """Write a number's eight bytes at `at`, the lowest first; they must be there."""
        _store(text, at, word)  # type: ignore[call-arg]  # numba adds the first one

    @inlined
    def multiply_high(a: Any, b: Any) -> Any:
        """The upper half of a product."""
        return _multiply_high(a, b)  # type: ignore[call-arg]  # numba adds the first one

    @inlined
    def leading_zeros(word: Any) -> Any:
        """How many of its 64 bits come before the first 1."""
        return np.int64(_leading_zeros(word))  # type: ignore[call-arg]  # numba adds the first one


@inlined
def copy(target: Bytes, at: int, source: Bytes, begin: int, size: int) -> int:
    """Copy `size` bytes from `begin` to `at`; where they end.

    Eight at a time: both arrays must reach eight bytes further, and what stands there in `target`
    is written over.
    """
    for k in range(0, size, 8):
        store(target, at + k, load(source, begin + k))
    return at + size
