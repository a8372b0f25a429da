"""Secrets: named by file or environment variable, read when needed, never printed."""

import os
from pathlib import Path
from typing import Self

from pydantic import model_validator

from models.errors import InvalidInput
from models.records import Record


class Secret(Record):
    """Where a secret is kept: `{file: /run/secrets/token}` or `{env: PROM_TOKEN}`."""

    file: str | None = None
    """Read again at every use, so that a rotated secret is picked up."""
    env: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("a secret is either {file: PATH} or {env: VARIABLE}")
        return self

    def read(self) -> str:
        """The secret itself. Raises InvalidInput, which names the place and never the content."""
        if self.file is not None:
            try:
                return Path(self.file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidInput(f"secret file {self.file!r} cannot be read: {error}") from error
        assert self.env is not None
        value = os.environ.get(self.env)
        if value is None:
            raise InvalidInput(f"environment variable {self.env!r} is not set")
        return value

    def __str__(self) -> str:
        return "<secret>"
