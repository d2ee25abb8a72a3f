"""Logins that wait for their code: the password was right, nobody is signed in yet. What ends a person's
logins ends these too, though they have no row to delete."""

import secrets

from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpRequest

STANDS_ON = "login_stands_on"
# Longer than any of them may wait (allauth's LOGIN_TIMEOUT).
KEPT_S = 3600


def begin(request: HttpRequest, user: User) -> None:
    request.session[STANDS_ON] = _grounds(user)


def still_stands(request: HttpRequest, user: User) -> bool:
    """Neither switched off meanwhile, nor another password, nor signed out everywhere."""
    return user.is_active and request.session.get(STANDS_ON) == _grounds(user)


def end(user: User) -> None:
    """All of this person's."""
    cache.set(_key(user), secrets.token_hex(8), KEPT_S)


def _grounds(user: User) -> list[str]:
    return [user.get_session_auth_hash(), cache.get(_key(user), "")]


def _key(user: User) -> str:
    return f"waiting-ended:{user.pk}"
