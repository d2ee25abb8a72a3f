"""What is answered, and logged, while opsdash's own database is away."""

import logging

import pytest
from django.db import OperationalError
from django.test import RequestFactory

from dbops.views.errors import away

AWAY = OperationalError("connection refused")


def test_a_request_cannot_forge_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    path = "/x%0A2026-11-20%20WARNING%20dbops.launch:%20job%209%20cancelled%1b[2J"
    with caplog.at_level(logging.WARNING, "dbops"):
        away(RequestFactory().get(path), AWAY)
    (message,) = caplog.messages
    assert r"'/x\n2026-11-20 WARNING" in message
    assert "\n" not in message and "\x1b" not in message


def test_whatever_was_sent_can_be_looked_up() -> None:
    page = away(RequestFactory().post("/admin/dbops/target/1/change/"), AWAY).content.decode()
    assert "What you sent was probably not done. If it was, the audit trail has it; a job stands in" in page
    assert "audit trail" not in away(RequestFactory().get("/"), AWAY).content.decode()
