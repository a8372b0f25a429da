"""The contract of a source: what may block, what resumes where, how it ends."""

from abc import ABC, abstractmethod
from typing import ClassVar

from models.columns import Batch
from models.errors import QueryRejected
from models.query import MetricInfo
from models.source import SourceHealth


class Source(ABC):
    """Answers a query over a window of step-aligned instants.

    A source keeps no place in the stream: the reader does. It asks for the window after the last
    one it got and so resumes anywhere, as far as the source has a past (`resumes`).

    `read`, `check` and `probe` wait for the network at most timeout × (retries + 1) plus pauses;
    they never block the event loop, and cancelling them leaves the source usable. `close` ends
    open connections; it is not called after a crash, so nothing may depend on it.
    """

    resumes: ClassVar[bool]
    """Whether the past can be read; without one, only the last instant of a window is answered."""
    points_max: ClassVar[int]
    """Instants that one `read` may ask for."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    async def read(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> Batch:
        """Samples at start, start + step, … end, all multiples of the step; or the log lines.

        The batch says which instants it covers, which may be fewer; one without samples is an
        answer, not a failure.
        Raises QueryRejected when asking again cannot help, SourceUnavailable when it can.
        """

    def reads_lines(self, query: str) -> bool:  # noqa: ARG002
        """Whether the query gives log lines, which are counted, or samples."""
        return False

    def absent_is_zero(self, query: str) -> bool:  # noqa: ARG002
        """Whether an instant without a sample means 0: a count of log lines has no other way."""
        return False

    @abstractmethod
    async def check(self, query: str) -> None:
        """Raise QueryRejected with the source's own words if it would refuse the query."""

    async def metrics(self) -> list[MetricInfo]:
        """The metrics there are, by name. Raises QueryRejected when the source tells none."""
        raise QueryRejected(f"source {self.name!r} tells no metrics")

    async def labels(self, selector: str | None) -> list[str]:  # noqa: ARG002
        """Names of labels, of the series that `selector` chooses. Raises as `metrics`."""
        raise QueryRejected(f"source {self.name!r} tells no labels")

    async def label_values(self, label: str, selector: str | None) -> list[str]:  # noqa: ARG002
        """Values of one label. Raises as `metrics`."""
        raise QueryRejected(f"source {self.name!r} tells no values of labels")

    @abstractmethod
    async def health(self) -> SourceHealth:
        """Probe the source now; never raises for what the network does."""

    @abstractmethod
    async def close(self) -> None:
        """End open connections."""
