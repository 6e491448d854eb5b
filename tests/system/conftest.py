import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from support import Service  # noqa: E402


@pytest.fixture
def make_service():
    """Makes services that are gone, with all they made, when the test is over."""
    made = []

    def make(start=True, **config):
        service = Service(**config)
        made.append(service)
        return service.start() if start else service

    yield make
    for service in made:
        service.close()


@pytest.fixture
def service(make_service):
    return make_service()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows the service's log."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for value in item.funcargs.values():
            if isinstance(value, Service) and value.log.exists():
                report.sections.append(("service log", value.log.read_text()[-6000:]))
