"""Every test here once a pair; one that cannot be tried on this machine is named with the reason."""

import pytest

from tests.integration.agent.conftest import (  # noqa: F401
    _as_users_run_it,
    database,
    postgres_shop,
    project,
    shop,
)
from tests.versions.pairs import EDGES, PAIRS, Pair


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "edges: tried on the oldest, the newest and the suite's own pair only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pair" in metafunc.fixturenames:
        pairs = EDGES if metafunc.definition.get_closest_marker("edges") else PAIRS
        metafunc.parametrize("pair", [marked(pair) for pair in pairs], ids=str, scope="session")


def marked(pair: Pair) -> object:
    why = pair.why_absent
    return pytest.param(pair, marks=[pytest.mark.skip(reason=f"{pair}: NOT tried: {why}")] if why else [])


@pytest.fixture
def python(pair: Pair) -> str:
    """The interpreter of the target."""
    return str(pair.python)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("versions of Django and Python in the targets")
    for pair in PAIRS:
        why = pair.why_absent
        terminalreporter.line(f"{pair}: {f'NOT tried: {why}' if why else 'tried'}")
