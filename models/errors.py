"""Everything a person or a network can break, as one family.

    AiopsError
    ├── InvalidInput          a document, parameter or file says something impossible
    │   └── SettingsInvalid   the same, in the settings file: with its line
    ├── NotFound              no detector, source, anomaly or kind of that name
    ├── Conflict              the name is taken, or the settings file owns it
    ├── Unauthorized          no token, or an unknown one
    ├── SourceError           a source did not answer the question
    │   ├── QueryRejected     it answered: the query is wrong (asking again will not help)
    │   │   └── QueryTooLarge it is too much for one answer (a shorter window may do)
    │   └── SourceUnavailable it could not be reached or broke off (asking again may help)
    ├── IntakeFull            more was pushed than may wait (the sender keeps it and tries again)
    ├── NotReady              the engine is still restoring its state
    ├── SnapshotDamaged       a snapshot file that cannot be trusted
    └── StoreUnavailable      the records could not be read or written (full disk, locked file)

An `assert` states what only our own bug could break; it never stands in for one of these.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One wrong field: a JSON pointer (RFC 6901), and what would be right."""

    pointer: str
    detail: str


class AiopsError(Exception):
    """The root. `code` is stable and documented; `retryable` says whether asking again can help."""

    code = "internal"
    retryable = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidInput(AiopsError):
    """What was sent cannot be used; `faults` names each wrong field."""

    code = "invalid_input"

    def __init__(self, detail: str, faults: tuple[FieldFault, ...] = ()) -> None:
        super().__init__(detail)
        self.faults = faults


class SettingsInvalid(InvalidInput):
    """The settings file cannot be used; the detail carries file, line and suggestion."""

    code = "invalid_settings"


class NotFound(AiopsError):
    """Nothing has that name."""

    code = "not_found"


class Conflict(AiopsError):
    """The request does not fit what is there now."""

    code = "conflict"


class Unauthorized(AiopsError):
    """The request carries no token that is known here."""

    code = "unauthorized"


class SourceError(AiopsError):
    """A source did not answer the question; the state before it stays."""

    code = "source_error"


class QueryRejected(SourceError):
    """The source understood the request and refused it; its own words are the detail."""

    code = "query_rejected"


class QueryTooLarge(QueryRejected):
    """The answer would be too large or take too long; half the window may do."""

    code = "query_too_large"


class SourceUnavailable(SourceError):
    """The source could not be reached, timed out, or answered with nonsense."""

    code = "source_unavailable"
    retryable = True


class IntakeFull(AiopsError):
    """More was pushed than may wait here; nothing of this push was taken."""

    code = "intake_full"
    retryable = True


class NotReady(AiopsError):
    """The engine is still restoring its state."""

    code = "not_ready"
    retryable = True


class SnapshotDamaged(AiopsError):
    """A snapshot whose checksum, version or shape is wrong; the one before it is used."""

    code = "snapshot_damaged"


class StoreUnavailable(AiopsError):
    """The store refused a read or a write; nothing is lost, it is tried again."""

    code = "store_unavailable"
    retryable = True
