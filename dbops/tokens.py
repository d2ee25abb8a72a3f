"""Tokens of the JSON API: made, found by what a request brings, narrowed to what they may do, revoked."""

import hashlib
import logging
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import Error, IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now

from dbops import conf
from dbops.access import Actor
from dbops.models import ApiToken, AuditEvent, Target, clock
from dbops.models.away import is_away
from dbops.models.token import NAME_CHARS
from dbops.rights import NONE, Rights, Role, rights_of
from dbops.signing import factors

logger = logging.getLogger(__name__)

HEAD = "opsdash_"
# 32 bytes of chance. dbops.redaction knows this shape.
SHAPE = re.compile(rf"{HEAD}[A-Za-z0-9_-]{{43}}")
SHOWN = len(HEAD) + 6
WRITTEN_EVERY = timedelta(minutes=1)


class CannotMakeError(Exception):
    """A token that is not made; str() says why and what to do."""


class RefusedTokenError(Exception):
    """A request that a token does not open; str() says why."""


@dataclass(frozen=True)
class Made:
    token: ApiToken
    # Shown once and kept nowhere.
    text: str = field(repr=False)


@dataclass(frozen=True)
class Holder:
    """Who comes with a token that works now, and what both of them together may do."""

    token: ApiToken
    user: User
    rights: Rights


def new_text() -> str:
    return HEAD + secrets.token_urlsafe(32)


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make(
    owner: User,
    name: str,
    scopes: Collection[str],
    days: int,
    actor: Actor,
    *,
    targets: Collection[Target] | None = None,
) -> Made:
    """`targets`: those that it is limited to; None: all that its owner may see, also later ones.
    CannotMakeError where it may not be."""
    _check_made(name, scopes, days, targets)
    text = new_text()
    try:
        with transaction.atomic():
            token = ApiToken.objects.create(
                owner=owner,
                name=name,
                prefix=text[:SHOWN],
                digest=digest_of(text),
                scopes=sorted(scopes),
                is_limited=targets is not None,
                expires_at=clock.now() + timedelta(days=days),
            )
            token.targets.set(targets or [])
            _audit("token.create", token, actor)
    except IntegrityError:
        raise CannotMakeError(
            f"{owner.get_username()} has a token {name} already. Nothing was made. Revoke it first, or "
            "choose another name."
        ) from None
    return Made(token, text)


def _check_made(name: str, scopes: Collection[str], days: int, targets: Collection[Target] | None) -> None:
    most = conf.knob("TOKEN_MAX_DAYS")
    if not name.strip() or len(name) > NAME_CHARS or not name.isprintable():
        raise CannotMakeError(f"A name has 1 to {NAME_CHARS} letters, all printable. Nothing was made.")
    if unknown := sorted(set(scopes) - set(ApiToken.Scope.values)):
        known = ", ".join(ApiToken.Scope.values)
        raise CannotMakeError(f"There is no scope {unknown[0]}. Nothing was made. Scopes: {known}.")
    if not scopes:
        raise CannotMakeError("A token needs a scope at least. Nothing was made.")
    if not 1 <= days <= most:
        raise CannotMakeError(
            f"A token is made for 1 to {most} days (OPSDASH_TOKEN_MAX_DAYS). Nothing was made."
        )
    if targets is not None and not targets:
        raise CannotMakeError("A limited token needs a target at least. Nothing was made.")


def revoke(token: ApiToken, actor: Actor) -> str:
    """It opens nothing from now on, for ever; the sentence says so."""
    with transaction.atomic():
        mine = ApiToken.objects.filter(pk=token.pk, revoked_at=None)
        if not mine.update(revoked_at=Now(), revoked_by=actor.name):
            return f"The token {token.name} was revoked already."
        _audit("token.revoke", token, actor)
    return (
        f"The token {token.name} is revoked: it opens nothing any more. What was asked for with it goes on."
    )


def holder_of(text: str, address: str) -> Holder:
    """Whose token this is and what it may do now. RefusedTokenError where it opens nothing."""
    if not SHAPE.fullmatch(text):
        raise RefusedTokenError("This is no token of opsdash: it is not of their shape.")
    token = ApiToken.objects.select_related("owner").filter(digest=digest_of(text)).first()
    if token is None:
        logger.warning("a request from %s came with a token that nobody has", address)
        raise RefusedTokenError("There is no such token.")
    rights = rights_with(token)
    if why := _why_not(token, rights):
        _tell_refused(token, address, why)
        raise RefusedTokenError(why)
    _tell_used(token, address)
    return Holder(token, token.owner, rights)


def _why_not(token: ApiToken, rights: Rights) -> str:
    if token.revoked_at:
        return "This token was revoked."
    if clock.now() >= token.expires_at:
        return "This token has expired."
    if not token.owner.is_active:
        return "The owner of this token may not sign in any more."
    if factors.is_lacking(token.owner):
        return "The owner of this token has to set up a second factor before anything else."
    return "" if rights.highest else "The owner of this token has no role any more where it may be used."


def rights_with(token: ApiToken) -> Rights:
    """Never more than the owner has now; on the chosen targets alone; no more than its scopes are about."""
    most = Role.VIEWER if set(token.scopes) <= {ApiToken.Scope.READ} else Role.OPERATOR
    own = rights_of(token.owner)
    if not token.is_limited:
        return Rights(min(own.everywhere, most), tuple((pk, min(role, most)) for pk, role in own.there))
    ids = sorted(token.targets.values_list("pk", flat=True))
    return Rights(Role.NOBODY, tuple((pk, min(own.on(pk), most)) for pk in ids if own.on(pk)))


def _tell_used(token: ApiToken, address: str) -> None:
    if token.last_used_at and clock.now() - token.last_used_at < WRITTEN_EVERY:
        return
    due = Q(last_used_at=None) | Q(last_used_at__lt=Now() - WRITTEN_EVERY)
    try:
        ApiToken.objects.filter(due, pk=token.pk).update(last_used_at=Now(), last_used_address=address)
    except Error as error:
        # A database that takes no writes still answers who only reads.
        if not is_away(error):
            raise
        logger.warning("that token %s was used is not written, our database fails: %s", token.pk, error)


def _tell_refused(token: ApiToken, address: str, why: str) -> None:
    """Once a minute: a program goes on trying, and the audit trail is for ever."""
    due = Q(last_refused_at=None) | Q(last_refused_at__lt=Now() - WRITTEN_EVERY)
    with transaction.atomic():
        if ApiToken.objects.filter(due, pk=token.pk).update(last_refused_at=Now()):
            doer = Actor(token.owner, token.whose, address, NONE)
            AuditEvent.objects.record("token.refused", doer, reason=why, token=token.prefix)


def _audit(act: str, token: ApiToken, actor: Actor) -> None:
    AuditEvent.objects.record(
        act,
        actor,
        token=token.prefix,
        name=token.name,
        owner=token.owner.get_username(),
        scopes=token.scopes,
        targets=[target.name for target in token.targets.all()] if token.is_limited else "all",
        expires_at=token.expires_at.isoformat(),
    )
