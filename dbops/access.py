"""Who may see and do what: a role a person, load or 404, and one decorator for every view."""

import getpass
import ipaddress
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.db.models.functions import Now
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.crypto import constant_time_compare
from django.utils.encoding import escape_uri_path
from django_htmx.middleware import HtmxDetails

from dbops import conf, confirming
from dbops.models import AuditEvent, Job, Plan, Target, TargetDatabase

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


class Role(IntEnum):
    """Each role may do what those before it may."""

    NOBODY = 0
    VIEWER = 1  # sees
    OPERATOR = 2  # starts and cancels migrate and loaddata jobs, asks for inspections
    STAFF = 3  # also dangerous acts
    SUPERUSER = 4  # also configures

    @property
    def word(self) -> str:
        return self.name.lower()


GROUPS = {"viewers": Role.VIEWER, "operators": Role.OPERATOR}


class OpsRequest(HttpRequest):
    """What a view behind `needs` gets: a signed-in person with a role."""

    user: User
    htmx: HtmxDetails
    role: Role


@dataclass(frozen=True)
class Actor:
    """Who asks for an act, and from where; `user` is None on the shell."""

    user: User | None
    name: str
    address: str


def role_of(user: AbstractBaseUser | AnonymousUser) -> Role:
    if not isinstance(user, User) or not user.is_active:
        return Role.NOBODY
    if user.is_superuser:
        return Role.SUPERUSER
    if user.is_staff:
        return Role.STAFF
    names = (group.name for group in user.groups.all())
    return max((GROUPS[name] for name in names if name in GROUPS), default=Role.NOBODY)


def roles_now(people: Collection[tuple[int, str]]) -> dict[tuple[int, str], Role]:
    """(id of the user, key of the session) -> the role that this gives now: NOBODY where the session has
    ended, is no longer that user's (a changed password ends it), or the user may not sign in. Three queries,
    however many they are."""
    users = User.objects.prefetch_related("groups").in_bulk([user_id for user_id, _ in people])
    keys = [key for _, key in people]
    sessions = Session.objects.filter(session_key__in=keys, expire_date__gt=Now()).in_bulk()
    return {
        (user_id, key): _role_in_session(users.get(user_id), sessions.get(key)) for user_id, key in people
    }


def _role_in_session(user: User | None, session: Session | None) -> Role:
    if user is None or session is None:
        return Role.NOBODY
    known = session.get_decoded()
    is_theirs = str(known.get(SESSION_KEY)) == str(user.pk)
    hash_then, hash_now = str(known.get(HASH_SESSION_KEY, "")), user.get_session_auth_hash()
    return role_of(user) if is_theirs and constant_time_compare(hash_then, hash_now) else Role.NOBODY


def needs(role: Role, *, confirmed: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The view runs for people with this role or a higher one; others get a 403 that says what is missing.

    Where it is `confirmed`, or needs staff, what it changes is done only for people who said a moment ago who
    they are."""
    confirmed = confirmed or role >= Role.STAFF

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        guarded = (_guard_async if iscoroutinefunction(view) else _guard)(view, role, confirmed)
        guarded.needed_role = role  # type: ignore[attr-defined]
        guarded.needs_confirmation = confirmed  # type: ignore[attr-defined]
        return guarded

    return decorate


def _guard(view: Callable[..., Any], role: Role, confirmed: bool) -> Callable[..., Any]:
    @wraps(view)
    def guarded(request: OpsRequest, *args: Any, **kwargs: Any) -> Any:
        check(request, role, confirmed=confirmed)
        return view(request, *args, **kwargs)

    return guarded


def _guard_async(view: Callable[..., Any], role: Role, confirmed: bool) -> Callable[..., Any]:
    @wraps(view)
    async def guarded(request: OpsRequest, *args: Any, **kwargs: Any) -> Any:
        await sync_to_async(check)(request, role, confirmed=confirmed)
        return await view(request, *args, **kwargs)

    return guarded


def check(request: OpsRequest, role: Role, *, confirmed: bool = False) -> None:
    request.role = role_of(request.user)
    if request.role < role:
        if request.method not in SAFE_METHODS:
            _audit_refusal(request, role)
        raise PermissionDenied(
            f"This needs the role {role.word}; {request.user.get_username()} is "
            f"{request.role.word if request.role else 'without a role'}. "
            "Nothing was done. Ask a superuser for the role if you need it."
        )
    if confirmed and request.method not in SAFE_METHODS:
        confirming.require(request)


def _audit_refusal(request: OpsRequest, role: Role) -> None:
    """Committed by itself: no request runs inside a transaction of its own."""
    AuditEvent.objects.record(
        "refused",
        actor_of(request),
        url=request.resolver_match.url_name if request.resolver_match else None,
        path=escape_uri_path(request.path),
        needs=role.word,
        has=request.role.word,
    )


def role_of_page(request: HttpRequest) -> dict[str, str]:
    """Context processor: the role that the view found, in a word."""
    role = getattr(request, "role", None)
    return {"role": role.word if role else ""}


def actor_of(request: OpsRequest) -> Actor:
    return Actor(request.user, request.user.get_username(), client_address(request))


def client_address(request: HttpRequest) -> str:
    """Where the request comes from, as the outermost of our own proxies saw it (OPSDASH_TRUSTED_PROXIES).

    Every proxy adds the address that spoke to it on the right; what stands further left was sent by the
    client and proves nothing. A request that did not pass all of them comes from whoever spoke to us.
    """
    peer = str(request.META.get("REMOTE_ADDR") or "")
    proxies = conf.knob("TRUSTED_PROXIES")
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    if not proxies or len(forwarded) < proxies or not _is_address(forwarded[-proxies]):
        return peer
    return forwarded[-proxies]


def _is_address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text) is not None and "%" not in text
    except ValueError:
        return False


def shell_actor() -> Actor:
    return Actor(None, f"shell:{getpass.getuser()}", "shell")


def target_or_404(name: str) -> Target:
    return get_object_or_404(Target, name=name)


def database_or_404(name: str, alias: str) -> TargetDatabase:
    return get_object_or_404(
        TargetDatabase.objects.select_related("target"), target__name=name, alias=alias, in_settings=True
    )


def plan_or_404(database: TargetDatabase, plan_id: int) -> Plan:
    """One of this database, which is handed on with it."""
    found = get_object_or_404(Plan, database=database, pk=plan_id)
    found.database = database
    return found


def job_or_404(job_id: int) -> Job:
    return get_object_or_404(Job.objects.select_related("database__target"), pk=job_id)
