"""What a command prints of a target steers no terminal, whatever the target calls its things."""

import json
import re
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from tests.browser.hostile_rows import Rows
from tests.hostile import MARK

pytestmark = pytest.mark.django_db(transaction=True)

STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
COMMANDS = [
    ["status"],
    ["status", "hostile", "poisoned", "failing"],
    ["jobs"],
    ["jobs", "--target", "\x1b[2J"],
    ["workers"],
    ["plan", "hostile"],
    ["plan", "hostile", "--sql", "--diff"],
    ["plan", "poisoned", "--sql", "--diff"],
    ["plan", "hostile", "--database", "\x1b]52;c;x\x07"],
    ["plan", "\x1b[2J"],
    ["compare", "hostile", "poisoned"],
    ["compare", "hostile/\x1b[2J", "poisoned"],
    ["run_job", "hostile", "migrate", "--app", "\x1b[2J"],
    ["run_job", "hostile", "makemigrations"],
    ["run_job", "hostile", "migrate", "--database", "\u202e\x1b[2J"],
]
JSON = [["status", "--json"], ["jobs", "--json"], ["workers", "--json"], ["plan", "poisoned", "--json"]]


@pytest.fixture
def rows(people: dict[str, User], tmp_path: Path) -> Rows:
    return Rows(tmp_path, people["superuser"])


def told(command: list[str]) -> str:
    out, errors = StringIO(), StringIO()
    with suppress(SystemExit):
        try:
            call_command(*command, stdout=out, stderr=errors, no_color=True)
        except CommandError as error:
            errors.write(str(error))
    return out.getvalue() + errors.getvalue()


def test_no_command_prints_what_steers_a_terminal(rows: Rows) -> None:
    said = {" ".join(command): told(command) for command in COMMANDS}
    found = {command: found[0] for command, text in said.items() if (found := STEERS.search(text))}
    assert not found, found
    assert sum(MARK in text for text in said.values()) >= 7, [name for name in said if MARK in said[name]]
    assert all(said.values()), [name for name in said if not said[name]]
    for command in JSON:
        text = told(command)
        assert text.isascii() and not STEERS.search(text)
        assert json.loads(text)["version"] == 1
