"""Who came and went, in the audit trail."""

from typing import Any

from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from dbops import conf
from dbops.access import Actor, client_address
from dbops.models import AuditEvent
from dbops.rights import NONE

UNKNOWN = "unknown"
METHODS = "account_authentication_methods"


def record(act: str, request: HttpRequest, user: User, **details: Any) -> None:
    AuditEvent.objects.record(act, _actor(request, user), **details)


def signed_in(request: HttpRequest, user: User) -> None:
    methods = request.session.get(METHODS) or []
    record("sign_in", request, user, by=[str(each.get("method")) for each in methods])


def failed(request: HttpRequest, name: str, *, by: str) -> None:
    """Of a name that nobody has, not even the name is kept: it may be a password in the wrong field."""
    AuditEvent.objects.record("sign_in.failed", _whoever(request, name), by=by)


def limited(request: HttpRequest, name: str) -> None:
    actor = _whoever(request, name)
    if _is_new("limited", actor):
        AuditEvent.objects.record("sign_in.limited", actor, wait_s=conf.knob("SIGN_IN_WAIT_S"))


def provider_failed(request: HttpRequest, why: str) -> None:
    actor = _actor(request, request.user if isinstance(request.user, User) else None)
    if _is_new("provider", actor, why):
        AuditEvent.objects.record("sign_in.failed", actor, by="single sign-on", why=why)


def _is_new(what: str, actor: Actor, why: str = "") -> bool:
    """It is told once, when it begins: whoever tries again and again does not fill the trail."""
    about = salted_hmac("dbops.signing.trail", "\n".join((what, actor.name, actor.address, why)))
    return cache.add(f"told:{about.hexdigest()}", 1, timeout=conf.knob("SIGN_IN_WAIT_S"))


def _whoever(request: HttpRequest, name: str) -> Actor:
    return _actor(request, User.objects.filter(username=name).first())


def _actor(request: HttpRequest, user: User | None) -> Actor:
    return Actor(user, user.get_username() if user else UNKNOWN, client_address(request), NONE)
