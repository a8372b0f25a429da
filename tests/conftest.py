import os
from pathlib import Path

import hypothesis
import pytest

from tests.upstream import Upstream

# The first example of a kernel waits for the compiler; the same examples come in every run.
hypothesis.settings.register_profile("engine", deadline=None, derandomize=True)
hypothesis.settings.load_profile("engine")


def pytest_addoption(parser):
    parser.addoption(
        "--shared",
        type=Path,
        default=Path(__file__).parents[2] / "shared",
        help="folder with recorded answers of real servers (fixtures/)",
    )


@pytest.fixture
def recorded(request):
    """The folder of recorded answers."""
    folder = request.config.getoption("--shared") / "fixtures"
    if not folder.is_dir():
        pytest.skip(f"no recorded answers at {folder}; name their place with --shared")
    return folder


@pytest.fixture
def upstream():
    """A small HTTP server that answers as the test says."""
    server = Upstream()
    yield server
    server.close()


def missing_program(name):
    """Skip for want of a program; under CI that is a failure."""
    reason = f"{name} is not installed; `make servers` says how to get it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
