"""Reads the settings file: YAML to the typed tree, faults with line and suggestion."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from models.detector import Detector
from models.errors import FieldFault, InvalidInput, SettingsInvalid
from models.settings import Settings
from models.validation import faults_of, parse


def load_settings(path: Path | None) -> Settings:
    """The settings in `path`; the defaults without a path or with an empty file.

    Raises SettingsInvalid: `FILE:LINE: KEY: what is wrong`, one line per fault.
    """
    if path is None:
        return Settings()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{path}: cannot be read: {error}") from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsInvalid(f"{path}:{line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SettingsInvalid(f"{path}: {error}") from error
    if raw is None:
        return Settings()
    if not isinstance(raw, dict):
        raise SettingsInvalid(f"{path}:1: expected keys such as sources and detectors")
    _refuse_repeated(path, root)
    try:
        return Settings.model_validate(_with_defaults(raw))
    except ValidationError as error:
        entries = error.errors(include_url=False, include_input=False)
        faults = faults_of(entries, Settings)
        lines = [
            f"{path}:{_line(root, entry['loc'])}: {fault.pointer or '/'}: {fault.detail}"
            for entry, fault in zip(entries, faults, strict=True)
        ]
        raise SettingsInvalid("\n".join(lines), faults) from error


def _with_defaults(raw: dict[str, Any]) -> dict[str, Any]:
    """Give detectors what `global` says and they do not."""
    shared = raw.get("global")
    detectors = raw.get("detectors")
    if not (isinstance(shared, dict) and isinstance(detectors, list)):
        return raw
    given = {key: shared[key] for key in ("step", "delay") if key in shared}
    filled = [given | entry if isinstance(entry, dict) else entry for entry in detectors]
    return raw | {"detectors": filled}


def _line(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """The line where a place in the tree stands, or the nearest place above it that is there."""
    line = 1
    for part in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            entry: yaml.Node = node.value[part]
            node, line = entry, entry.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    line, node = key.start_mark.line + 1, value
    return line


def _refuse_repeated(path: Path, node: yaml.Node | None) -> None:
    """YAML lets a key stand twice and silently drops the first; we do not."""
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            _refuse_repeated(path, entry)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                fault = FieldFault(f"/{key.value}", "stands twice")
                raise SettingsInvalid(f"{path}:{line}: {key.value!r} stands twice", (fault,))
            seen.add(key.value)
            _refuse_repeated(path, value)


def load_detectors(path: Path) -> list[Detector]:
    """Detectors from YAML or JSON: one document, a list, or `{detectors: [...]}`.

    Raises InvalidInput that names the file and every wrong field.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{path}: {error}") from error
    if isinstance(raw, dict) and set(raw) == {"detectors"}:
        raw = raw["detectors"]
    entries = raw if isinstance(raw, list) else [raw]
    try:
        return [parse(Detector, entry) for entry in entries]
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.detail}", error.faults) from error
