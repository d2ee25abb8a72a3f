"""Dangerous acts need somebody who said who they are a moment ago: by signing in, or once more."""

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from dbops import conf
from dbops.models import clock

MOMENT = "confirmed"


class NotConfirmedError(Exception):
    """The act was not done: it needs a confirmation, and the last one is too old. Confirm, and ask again."""


def note(request: HttpRequest) -> None:
    """It is them: they have just signed in, or said so once more. Kept in the row of the session, which no
    browser can write, together with whose it is."""
    request.session[MOMENT] = {"user": request.session.get(SESSION_KEY), "at": clock.now().timestamp()}


def is_recent(request: HttpRequest) -> bool:
    moment = request.session.get(MOMENT)
    if not isinstance(moment, dict) or moment.get("user") != request.session.get(SESSION_KEY):
        return False
    at = moment.get("at")
    return isinstance(at, float) and 0 <= clock.now().timestamp() - at <= conf.knob("REAUTH_S")


def require(request: HttpRequest) -> None:
    if not is_recent(request):
        raise NotConfirmedError


def safe_page(request: HttpRequest, wanted: str) -> str:
    """A page of ours, or the first one."""
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if ours else "/"
