"""The doors: one decorator for every view, and load or 404. What a person may do where: dbops.rights."""

import getpass
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.encoding import escape_uri_path
from django_htmx.middleware import HtmxDetails

from dbops import conf, confirming
from dbops.models import AuditEvent, Job, Plan, Target, TargetDatabase
from dbops.models.job import SHELL
from dbops.rights import ALL, NONE, Rights, Role, rights_of

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


class OpsRequest(HttpRequest):
    """What a view behind `needs` gets: a signed-in person with a role."""

    user: User
    htmx: HtmxDetails
    rights: Rights
    # What the view needs, on the target that it is about.
    needed: Role
    # The person's on that target; until one is loaded, the highest on any.
    role: Role


@dataclass(frozen=True)
class Actor:
    """Who asks for an act, from where, and what they may do; `user` is None on the shell."""

    user: User | None
    name: str
    address: str
    rights: Rights


def needs(role: Role, *, confirmed: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The view runs for people with this role or a higher one on what it is about; others get a 403 that
    says what is missing. It gets its target, job or plan from the functions below, which look at both.

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
    enter(request, rights_of(request.user), role)
    if confirmed and request.method not in SAFE_METHODS:
        confirming.require(request)


def enter(request: OpsRequest, rights: Rights, role: Role) -> None:
    """Whoever it is comes in with these rights, where they have this role anywhere."""
    request.rights, request.needed = rights, role
    _let_in(request, rights.highest)


def _let_in(request: OpsRequest, role: Role, target: Target | None = None) -> None:
    request.role = role
    if role >= request.needed:
        return
    if request.method not in SAFE_METHODS:
        audit_refusal(request, target=target or "", needs=request.needed.word, has=role.word)
    where = f" on {target.name}" if target else ""
    raise PermissionDenied(
        f"This needs the role {request.needed.word}{where}; {request.user.get_username()} is "
        f"{role.word if role else 'without a role'}{where if role else ''}. "
        "Nothing was done. Ask a superuser for the role if you need it."
    )


def audit_refusal(request: HttpRequest, **why: Any) -> None:
    """Once a request, and of a person: whoever is not signed in names nobody. Committed by itself: no request
    runs inside a transaction of its own."""
    user = getattr(request, "user", None)
    if not isinstance(user, User) or getattr(request, "refusal_is_kept", False):
        return
    request.refusal_is_kept = True  # type: ignore[attr-defined]
    AuditEvent.objects.record(
        "refused",
        Actor(user, whose(request), client_address(request), NONE),
        url=request.resolver_match.url_name if request.resolver_match else None,
        path=escape_uri_path(request.path),
        **why,
    )


def role_of_page(request: HttpRequest) -> dict[str, str]:
    """Context processor: the role that the view found, in a word."""
    role = getattr(request, "role", None)
    return {"role": role.word if role else ""}


def actor_of(request: OpsRequest) -> Actor:
    return Actor(request.user, whose(request), client_address(request), request.rights)


def whose(request: HttpRequest) -> str:
    """The person's name; with a token, that too."""
    token = getattr(request, "token", None)
    return str(token.whose if token else request.user.get_username())


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


def shell_actor(user: User | None = None) -> Actor:
    """Whoever is at the shell, with all rights; or, with a user, no more than that user may do."""
    at_shell = f"shell:{getpass.getuser()}"
    if user is None:
        return Actor(None, at_shell, SHELL, ALL)
    return Actor(user, f"{at_shell} as {user.get_username()}", SHELL, rights_of(user))


# What a person does not see is not there: each of these answers as to a name or an id that nothing has.


def target_or_404(request: OpsRequest, name: str) -> Target:
    target = get_object_or_404(request.rights.targets, name=name)
    insist(request, target)
    return target


def database_or_404(request: OpsRequest, name: str, alias: str) -> TargetDatabase:
    known = TargetDatabase.objects.select_related("target").filter(request.rights.within("target_id"))
    database = get_object_or_404(known, target__name=name, alias=alias, in_settings=True)
    insist(request, database.target)
    return database


def insist(request: OpsRequest, target: Target) -> None:
    """Of one that the page shows already: whether this person may do there what the view does."""
    _let_in(request, request.rights.on(target.pk), target)


def plan_or_404(database: TargetDatabase, plan_id: int) -> Plan:
    """One of this database, which is handed on with it."""
    found = get_object_or_404(Plan, database=database, pk=plan_id)
    found.database = database
    return found


def job_or_404(request: OpsRequest, job_id: int) -> Job:
    known = Job.objects.select_related("database__target")
    job = get_object_or_404(known.filter(request.rights.within("database__target_id")), pk=job_id)
    insist(request, job.database.target)
    return job
