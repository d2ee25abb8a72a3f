"""The tests' services come from outside (embedded/testing.py): Django reads settings before any fixture."""

import os

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from pytest_django import DjangoDbBlocker

# Nothing here is asserted by the clock: the machine may have other things to do.
settings.register_profile("opsdash", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("opsdash")

HOW = (
    "The tests need a Postgres and a Redis of their own: run them with `make unit`, `make integration` or "
    "`make browser`, or `.venv/bin/python -m embedded.testing -- pytest tests/unit -k name`."
)


def pytest_configure(config: pytest.Config) -> None:
    if "DATABASE_URL" not in os.environ or "REDIS_URL" not in os.environ:
        raise pytest.UsageError(HOW)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Transactional tests empty every table behind them, the audit trail too: in the database of the tests,
    and only there, the trigger that forbids it is switched off."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE dbops_auditevent DISABLE TRIGGER audit_is_never_truncated")
