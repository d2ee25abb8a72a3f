"""The tests' services come from outside (embedded/testing.py): Django reads settings before any fixture."""

import os

import pytest

HOW = (
    "The tests need a Postgres and a Redis of their own: run them with `make unit`, `make integration` or "
    "`make browser`, or `.venv/bin/python -m embedded.testing -- pytest tests/unit -k name`."
)


def pytest_configure(config: pytest.Config) -> None:
    if "DATABASE_URL" not in os.environ or "REDIS_URL" not in os.environ:
        raise pytest.UsageError(HOW)
