"""Persons at the doors: what they type, and what they have on their phones."""

import re
import time
from typing import Any

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.test import Client

from dbops import confirming
from tests.integration.conftest import PASSWORD

PERIOD_S = 30
# A new group as the admin's form sends it.
GROUP = {"name": "mine", "grants-TOTAL_FORMS": "0", "grants-INITIAL_FORMS": "0"}


def next_code(secret: str) -> str:
    """Of a phone that is a little ahead; the one of now was used to set it up."""
    return code_of(secret, 1)


def code_of(secret: str, steps: int = 0) -> str:
    return str(format_hotp_value(hotp_value(secret.replace(" ", ""), int(time.time()) // PERIOD_S + steps)))


def type_password(client: Client, name: str, password: str = PASSWORD, *, next: str = "", **more: Any) -> Any:  # noqa: A002
    return client.post("/login/", {"username": name, "password": password, "next": next}, **more)


def signed_in(name: str, **more: Any) -> Client:
    client = Client(**more)
    assert type_password(client, name).status_code == 302
    assert is_in(client)
    return client


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def set_up(client: Client) -> tuple[str, list[str]]:
    """A second factor: its secret, and the recovery codes as the page shows them."""
    page = client.get("/account/second-factor/").content.decode()
    found = re.search(r'id="secret">([A-Z2-7 ]+)<', page)
    assert found
    answer = client.post("/account/second-factor/", {"code": code_of(found[1]), "sealed": sealed_in(page)})
    assert answer.status_code == 200
    return found[1], re.findall(r"<li><code>(\d{8})</code></li>", answer.content.decode())


def sealed_in(page: str) -> str:
    """What the form of a set-up brings with it."""
    found = re.search(r'name="sealed" value="([^"]+)"', page)
    assert found
    return found[1]


def grow_old(client: Client, seconds: float = 3600) -> None:
    """Who they are was said long ago."""
    session = client.session
    session[confirming.MOMENT] = {
        **session[confirming.MOMENT],
        "at": session[confirming.MOMENT]["at"] - seconds,
    }
    session.save()
