"""Where there is no guard, nobody is told that it is free."""

from types import SimpleNamespace

import pytest

from dbops.agent import guard
from dbops.agent.job_sessions import job_sessions


@pytest.mark.parametrize("vendor", ["mysql", "oracle", "microsoft"])
def test_a_vendor_without_a_guard_is_neither_held_nor_free(vendor: str) -> None:
    connection = SimpleNamespace(vendor=vendor, settings_dict={"NAME": "shop"})
    assert guard.holder(connection) == {"held": None, "kind": "none"}
    assert job_sessions(connection) is None
