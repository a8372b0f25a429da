"""House rules that a machine can check, each with its reason."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from models.settings import Settings
from models.validation import _records

ROOT = Path(__file__).parents[1]
PACKAGES = ("aiops", "detectors", "ingest", "api", "models")
SOURCES = sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))
EVERYTHING = sorted(
    [*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
)
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
ATTIC_NAMES = {"utils", "helpers", "common", "misc", "core"}
WEAK_NAMES = re.compile(
    r"^_*[A-Z]\w*(Manager|Handler|Helper|Processor|V\d)$|^_*(Enhanced|Advanced|Smart|New)[A-Z]"
)


def name_of(path):
    return str(path.relative_to(ROOT))


def definitions(path, *kinds):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_a_file_holds_one_idea(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= FILE_LINES_MAX
    assert path.stem not in ATTIC_NAMES


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_function_fits_on_a_screen_and_a_class_says_what_it_is(path):
    for function in definitions(path, ast.FunctionDef, ast.AsyncFunctionDef):
        # A kernel takes its arrays one by one; the lines that name them are not what one reads.
        length = function.end_lineno - function.body[0].lineno + 1
        # A file of routes is one function that declares them; each route in it is short.
        if "routes" not in path.parts and function.name not in ("create_app", "serve", "__init__"):
            assert length <= FUNCTION_LINES_MAX, f"{function.name}: {length} lines"
    for kind in definitions(path, ast.ClassDef):
        assert not WEAK_NAMES.match(kind.name), kind.name


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_work_is_done_not_promised(path):
    if path != Path(__file__):
        assert not re.search(r"\b(TODO|FIXME|XXX)\b|NotImplementedError", path.read_text())


def test_broad_excepts_stand_in_two_places():
    """The task supervisor and the API's last handler (a decorator) log and count; nobody else."""
    found = {
        name_of(path)
        for path in SOURCES
        for handler in definitions(path, ast.ExceptHandler)
        if handler.type is None or ast.unparse(handler.type) in ("Exception", "BaseException")
    }
    assert found == {"aiops/tasks.py"}


def test_every_module_is_used():
    text = "\n".join(path.read_text() for path in EVERYTHING)
    kinds = {p.stem for p in (ROOT / "detectors").glob("*.py")}
    for path in SOURCES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        parent, _, leaf = module.rpartition(".")
        used = re.search(rf"(from|import) {re.escape(module)}\b", text) or re.search(
            rf"from {re.escape(parent)} import .*\b{leaf}\b", text
        )
        assert used or path.stem == "__init__" or leaf in kinds or leaf == "cli", module


def keys(record, prefix=()):
    for name, field in record.model_fields.items():
        place = (*prefix, field.alias or name)
        yield place, field
        for inner in _records(field.annotation):
            yield from keys(inner, place)


def test_every_setting_is_documented_where_it_is_made_and_in_the_file_of_all_settings():
    written = yaml.safe_load((ROOT / "deploy/aiops.all.yaml").read_text())

    def stands(node, place):
        if not place or not node:  # An empty value stands with its form in a comment.
            return True
        if isinstance(node, list):
            return any(stands(entry, place) for entry in node)
        return place[0] in node and stands(node[place[0]], place[1:])

    for place, field in keys(Settings):
        assert stands(written, place), ".".join(place)
        own = field.description or any(r.__doc__ for r in _records(field.annotation))
        plain = place[-1] in ("name", "type", "url", "username", "password", "http", "last_error")
        named = place[0] in ("global", "detectors") or place[-1] in ("model", "policy")
        assert own or plain or named or place[-1] in ("bearer_token", "bearer_tokens", "env"), place


def test_every_setting_is_read_somewhere():
    text = "\n".join(path.read_text() for path in SOURCES if path.parts[-2] != "models")
    for place, _ in keys(Settings):
        name = place[-1]
        read = re.search(rf"\.{name}\b", text) or f'"{name}"' in text
        assert read or name in ("type", "global", "file", "env"), ".".join(place)


def test_tests_are_no_packages():
    """A `tests/detectors/__init__.py` would make pytest import tests' detectors instead of ours."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_tracked_file_names_a_host_of_a_package_registry():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    hosts = re.compile(
        "|".join(("py" + "pi.org", "python" + "hosted", "npm" + "js.org", "deb." + "debian"))
    )
    for name in listed.stdout.split():
        path = ROOT / name
        if path.is_file():
            assert not hosts.search(path.read_text(encoding="utf-8", errors="replace")), name


def test_records_are_frozen():
    def below(kind):
        for sub in kind.__subclasses__():
            yield sub
            yield from below(sub)

    ours = [k for k in below(BaseModel) if k.__module__.startswith("models.")]
    assert len(ours) > 10
    assert all(k.model_config.get("frozen") for k in ours)
