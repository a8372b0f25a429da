import pytest

from tests.conftest import missing_program
from tests.server.prometheus import Exporter, Prometheus, programs


@pytest.fixture(scope="module")
def exporter():
    made = Exporter()
    yield made
    made.close()


@pytest.fixture(scope="module", params=["installed", "newer"])
def prometheus(request, exporter, tmp_path_factory):
    """A running Prometheus of each kind that is here; under CI the installed one must be.

    It serves all tests of a module, so that series have a history; each test names its detector.
    """
    program = programs()[request.param]
    if program is None:
        missing_program("prometheus")
    if not program.exists():
        pytest.skip("no newer prometheus could be unpacked; `make servers` says why")
    made = Prometheus(program, tmp_path_factory.mktemp("prometheus"), [exporter.target])
    yield made
    made.stop()
