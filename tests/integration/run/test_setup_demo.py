"""The examples of make run: registered once, left as they are, and found again when their server moved."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from dbops.models import Target
from dbops.rights import Role, rights_of

pytestmark = pytest.mark.django_db
PEOPLE = {"superuser": "s-pass-1", "staff": "s-pass-2", "operator": "s-pass-3", "viewer": "s-pass-4"}


@pytest.fixture
def demo(monkeypatch: Any, tmp_path: Path, postgres_url: str) -> Any:
    passwords = tmp_path / "passwords.json"
    passwords.write_text(json.dumps(PEOPLE))
    monkeypatch.setenv("OPSDASH_DEMO_PASSWORDS", str(passwords))
    monkeypatch.setenv("OPSDASH_DEMO_SHOP_STAGING_URL", postgres_url)
    monkeypatch.setenv("OPSDASH_DEMO_BLOG_PATH", str(tmp_path / "blog.sqlite3"))
    return monkeypatch


def setup() -> str:
    out = StringIO()
    call_command("setup_demo", stdout=out)
    return out.getvalue()


def test_the_logins_have_their_roles(demo: Any) -> None:
    setup()
    roles = {user.username: rights_of(user).everywhere for user in User.objects.all()}
    assert roles == {name: Role[name.upper()] for name in PEOPLE}
    assert all(User.objects.get(username=name).check_password(word) for name, word in PEOPLE.items())


def test_the_examples_are_registered_once(demo: Any) -> None:
    assert setup() == "blog: registered\nshop-staging: registered\n"
    assert setup() == ""
    assert set(Target.objects.values_list("name", flat=True)) == {"blog", "shop-staging"}


def test_a_server_that_moved_is_found_again(demo: Any, postgres_url: str) -> None:
    setup()
    moved = postgres_url.replace("127.0.0.1", "localhost")
    demo.setenv("OPSDASH_DEMO_SHOP_STAGING_URL", moved)
    assert setup() == "shop-staging: its database has a new address\n"
    assert Target.objects.get(name="shop-staging").variables.get(name="DATABASE_URL").value == moved


def test_an_example_that_cannot_be_made_leaves_no_half(demo: Any, postgres_url: str) -> None:
    demo.setenv("OPSDASH_DEMO_SHOP_STAGING_URL", postgres_url + "_missing")
    with pytest.raises(Exception, match="The example shop-staging could not be made"):
        setup()
    assert not Target.objects.filter(name="shop-staging").exists()
