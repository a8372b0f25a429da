"""Structured logs: one JSON object a line on standard error, or columns on a terminal."""

import logging
import sys
from typing import Literal

import structlog

Format = Literal["json", "text"]


def set_up_logs(level: str, form: Format) -> None:
    """Send our events, and what libraries log, to standard error. level: debug … error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form == "json":
        last: list[structlog.typing.Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(processors=last, foreign_pre_chain=shared)
    handler.setFormatter(_DropMeta(formatter))
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


class _DropMeta(logging.Formatter):
    """Formats a library's record as an event of ours."""

    def __init__(self, inner: structlog.stdlib.ProcessorFormatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return self._inner.format(record)
