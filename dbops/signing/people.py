"""Whom the provider of single sign-on names: the person here, and their roles, which it decides."""

import re
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from dbops import conf
from dbops.models import Identity
from dbops.signing import trail

FORBIDDEN = re.compile(r"[^\w.@+-]+")
NAME_CHARACTERS = 100
TRIES = 100


def known(claims: Mapping[str, Any]) -> User | None:
    """By issuer and subject alone."""
    found = Identity.objects.filter(issuer=claims["iss"], subject=str(claims["sub"])).select_related("user")
    return next((identity.user for identity in found), None)


def welcome(request: HttpRequest, claims: Mapping[str, Any]) -> User:
    """The person with these claims, made at their first coming, with the roles that they have now."""
    with transaction.atomic():
        user = known(claims) or _make(claims)
        _renew(request, User.objects.select_for_update().get(pk=user.pk), _groups_of(claims))
    return User.objects.get(pk=user.pk)


def _make(claims: Mapping[str, Any]) -> User:
    """Under a name that nobody has: an account that is here already is never theirs."""
    wanted = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])
    wanted = FORBIDDEN.sub("-", wanted)[:NAME_CHARACTERS] or "person"
    for number in range(1, TRIES):
        name = wanted if number == 1 else f"{wanted}-{number}"
        try:
            with transaction.atomic():
                user = User.objects.create_user(name)
                Identity.objects.create(issuer=claims["iss"], subject=str(claims["sub"]), user=user)
                return user
        except IntegrityError:
            if found := known(claims):
                return found
    raise LookupError(f"no free name like {wanted}")


def _groups_of(claims: Mapping[str, Any]) -> frozenset[str]:
    provider = conf.provider()
    told = claims.get(provider.claim) if provider else None
    listed = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    return frozenset(each for each in listed if isinstance(each, str))


def _renew(request: HttpRequest, user: User, theirs: frozenset[str]) -> None:
    """What the provider does not list is taken away; groups that it does not decide are left alone."""
    provider = conf.provider()
    assert provider is not None
    before = _roles(user)
    user.is_staff = bool(theirs & provider.roles["staff"]) or bool(theirs & provider.roles["superusers"])
    user.is_superuser = bool(theirs & provider.roles["superusers"])
    user.save(update_fields=["is_staff", "is_superuser"])
    decided = {name: provider.roles[name] for name in ("viewers", "operators")} | dict(provider.groups)
    for name, sources in decided.items():
        group, _ = Group.objects.get_or_create(name=name)
        (user.groups.add if theirs & sources else user.groups.remove)(group)
    after = _roles(user)
    if before != after:
        trail.record("roles.from_provider", request, user, before=before, after=after)


def _roles(user: User) -> list[str]:
    flags = [name for name, held in (("superuser", user.is_superuser), ("staff", user.is_staff)) if held]
    return flags + sorted(user.groups.values_list("name", flat=True))
