"""What docs/recipes.md and docs/targets.md tell people to write can be declared, and starts what they say."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from dbops.declare import declare
from dbops.target.address_of import address_of
from tests.integration.conftest import ALICE

pytestmark = pytest.mark.django_db
DOCS = Path(settings.BASE_DIR) / "docs"


def stanzas() -> list[Any]:
    found: list[Any] = []
    for page in ("recipes.md", "targets.md"):
        for text in re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
            for name, declaration in tomllib.loads(text)["targets"].items():
                found.append(pytest.param(name, declaration, id=f"{page}-{len(found)}-{name}"))
    return found


@pytest.mark.parametrize(("name", "declaration"), stanzas())
def test_a_stanza_of_the_manual_is_a_target(name: str, declaration: dict[str, Any]) -> None:
    target = declare(name, {**declaration, "env_file": "", "secret_env": {}}, ALICE).target
    words = declaration["python"]
    assert target.python == ([words] if isinstance(words, str) else words)
    command = address_of(target).command("print('hello')")
    assert command[: len(target.python)] == target.python
    quoted = "'print('\"'\"'hello'\"'\"')'"
    assert command[-2:] == ["-c", quoted if declaration.get("through_shell") else "print('hello')"]
    assert target.queue == declaration.get("queue", "jobs")
