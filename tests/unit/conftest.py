"""Without services: the clock of our database is this machine's."""

import pytest
from django.utils import timezone


@pytest.fixture(autouse=True)
def clock_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    # By name: without settings, pytest has something better to say than an import that fails.
    monkeypatch.setattr("dbops.models.clock.now", timezone.now)
