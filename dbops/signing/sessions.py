"""Who is signed in, from where, and since when; ending that."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.dispatch import receiver
from django.http import HttpRequest

from dbops import conf, confirming
from dbops.access import client_address
from dbops.models import SignIn, clock
from dbops.rights import is_theirs
from dbops.signing import waiting

# A session that is used is written down as seen this often; by each web process, which remembers it.
SEEN_ANEW_S = 60.0
REMEMBERED = 10_000
_seen: dict[str, float] = {}


@receiver(user_logged_in)
def begin(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Every way in ends in django.contrib.auth.login, which has changed the key of the session by now."""
    # From here on, however often the session is written.
    request.session.set_expiry(clock.now() + timedelta(hours=conf.knob("SESSION_HOURS")))
    confirming.note(request)
    keep(request, user)


def keep(request: HttpRequest, user: User, since: SignIn | None = None) -> None:
    """The row of this session; `since` is the one that it had under another key."""
    if not request.session.session_key:
        request.session.save()
    key = request.session.session_key or ""
    known = {
        "user": user,
        "address": client_address(request),
        "browser": request.headers.get("User-Agent", "")[:300],
    }
    SignIn.objects.update_or_create(pk=key, defaults=known)
    if since:
        SignIn.objects.filter(pk=key).update(since=since.since)
    _remember(key)


def of(user: User) -> list[SignIn]:
    """Those that still let somebody in, the newest first; a changed password ends others, and no row goes."""
    rows = SignIn.objects.filter(user=user, session__expire_date__gt=Now()).select_related("session")
    return [row for row in rows.order_by("-since") if is_theirs(row.session, user)]


def end(user: User, *, key: str = "", but: str = "") -> int:
    """One of this person's, or all but one. What it has open ends when its rights are looked at again."""
    if not key:
        waiting.end(user)
    found = Session.objects.filter(signin__user=user)
    found = found.filter(pk=key) if key else found.exclude(pk=but)
    return found.delete()[1].get("sessions.Session", 0)


def is_idle(request: HttpRequest, user: User) -> bool:
    """Nobody used it for too long. Otherwise it is written down as seen, now and then. What a page asks by
    itself is no use of it."""
    key = request.session.session_key or ""
    if clock.passed() - _seen.get(key, float("-inf")) < SEEN_ANEW_S:
        return False
    _remember(key)
    if _fresh().filter(pk=key).update(seen_at=Now()):
        return False
    if SignIn.objects.filter(pk=key).exists():
        return True
    keep(request, user)  # of a session that is older than this table
    return False


def _fresh() -> QuerySet[SignIn]:
    """A minute late at most, and never early: what came soon after the last writing was not written."""
    minutes = conf.knob("SESSION_IDLE_MINUTES")
    since = Now() - timedelta(minutes=minutes, seconds=SEEN_ANEW_S)
    return SignIn.objects.filter(seen_at__gt=since) if minutes else SignIn.objects.all()


def sweep() -> None:
    """Those that nobody used for too long, and those that have run out."""
    if conf.knob("SESSION_IDLE_MINUTES"):
        Session.objects.filter(signin__in=SignIn.objects.exclude(pk__in=_fresh())).delete()
    Session.objects.filter(expire_date__lt=Now()).delete()


def _remember(key: str) -> None:
    if len(_seen) >= REMEMBERED:
        _seen.clear()
    _seen[key] = clock.passed()
