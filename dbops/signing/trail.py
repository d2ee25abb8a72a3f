"""Who came and went, in the audit trail."""

from typing import Any

from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpRequest

from dbops import conf
from dbops.access import Actor, client_address
from dbops.models import AuditEvent

UNKNOWN = "unknown"
METHODS = "account_authentication_methods"


def record(act: str, request: HttpRequest, user: User, **details: Any) -> None:
    AuditEvent.objects.record(act, Actor(user, user.get_username(), client_address(request)), **details)


def signed_in(request: HttpRequest, user: User) -> None:
    methods = request.session.get(METHODS) or []
    record("sign_in", request, user, by=[str(each.get("method")) for each in methods] or ["single sign-on"])


def failed(request: HttpRequest, name: str, *, by: str) -> None:
    """Of a name that nobody has, not even the name is kept: it may be a password in the wrong field."""
    AuditEvent.objects.record("sign_in.failed", _whoever(request, name), by=by)


def limited(request: HttpRequest, name: str) -> None:
    """Once, when it begins: whoever goes on trying does not fill the trail."""
    actor = _whoever(request, name)
    told = f"opsdash:limited:{actor.name}:{actor.address}"
    if cache.add(told, 1, timeout=conf.knob("SIGN_IN_WAIT_S")):
        AuditEvent.objects.record("sign_in.limited", actor, wait_s=conf.knob("SIGN_IN_WAIT_S"))


def _whoever(request: HttpRequest, name: str) -> Actor:
    user = User.objects.filter(username=name).first()
    return Actor(user, user.get_username() if user else UNKNOWN, client_address(request))


def provider_failed(request: HttpRequest, why: str) -> None:
    """Once in a while of one address: whoever asks for it again and again does not fill the trail."""
    user = request.user if isinstance(request.user, User) else None
    actor = Actor(user, user.get_username() if user else UNKNOWN, client_address(request))
    if cache.add(
        f"opsdash:provider:{actor.name}:{actor.address}:{why}", 1, timeout=conf.knob("SIGN_IN_WAIT_S")
    ):
        AuditEvent.objects.record("sign_in.failed", actor, by="single sign-on", why=why)
