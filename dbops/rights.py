"""What a person may do, and where: a role on every target, and others on targets of their groups.

Pages, streams, commands, jobs and JSON all ask here.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, User
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.crypto import constant_time_compare

from dbops.models import Grant, Target


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


# Members of these groups have the role on every target.
GROUPS = {"viewers": Role.VIEWER, "operators": Role.OPERATOR}
GRANTED = {word.value: Role[word.name] for word in Grant.Role}


@dataclass(frozen=True)
class Rights:
    """`everywhere`: the role on every target, also on one that comes tomorrow. `there`: (id of a target,
    role), ordered, of those where the role is a higher one."""

    everywhere: Role
    there: tuple[tuple[int, Role], ...] = ()

    @cached_property
    def _by_target(self) -> dict[int, Role]:
        return dict(self.there)

    def on(self, target_id: int) -> Role:
        return max(self.everywhere, self._by_target.get(target_id, Role.NOBODY))

    @cached_property
    def highest(self) -> Role:
        """On any target."""
        return max([self.everywhere, *self._by_target.values()])

    @property
    def sees_all(self) -> bool:
        return self.everywhere >= Role.VIEWER

    def sees(self, target_id: int) -> bool:
        return self.on(target_id) >= Role.VIEWER

    @property
    def targets(self) -> QuerySet[Target]:
        """Those that this person sees; the others are as if they were not."""
        return Target.objects.filter(self.within("pk"))

    def within(self, path: str, role: Role = Role.VIEWER) -> Q:
        """The rows whose target, at `path`, this person has at least this role on."""
        if self.everywhere >= role:
            return Q()
        return Q(**{f"{path}__in": [target_id for target_id, has in self.there if has >= role]})


NONE = Rights(Role.NOBODY)
# Of whoever has a shell beside opsdash, with its settings and keys.
ALL = Rights(Role.SUPERUSER)


# What a membership gives: (name of the group, id of a target or None, role there).
Membership = tuple[str, int | None, str | None]
MEMBERSHIP = ("name", "grants__target_id", "grants__role")


def rights_of(user: AbstractBaseUser | AnonymousUser | None) -> Rights:
    """One query at most: no group can give staff anything more."""
    if not isinstance(user, User) or user.is_superuser or user.is_staff:
        return _rights(user, [])
    return _rights(user, user.groups.values_list(*MEMBERSHIP))


def _rights(user: AbstractBaseUser | AnonymousUser | None, memberships: Iterable[Membership]) -> Rights:
    if not isinstance(user, User) or not user.is_active:
        return NONE
    if user.is_superuser or user.is_staff:
        return ALL if user.is_superuser else Rights(Role.STAFF)
    rows = list(memberships)
    everywhere = max((GROUPS[name] for name, _, _ in rows if name in GROUPS), default=Role.NOBODY)
    return Rights(
        everywhere, _above(everywhere, [(target, role) for _, target, role in rows if target and role])
    )


def _above(everywhere: Role, grants: Iterable[tuple[int, str]]) -> tuple[tuple[int, Role], ...]:
    """The highest that is granted on each target, where it is above what the person has everywhere."""
    there: dict[int, Role] = {}
    for target_id, word in grants:
        role = GRANTED[word]
        if role > max(everywhere, there.get(target_id, Role.NOBODY)):
            there[target_id] = role
    return tuple(sorted(there.items()))


def rights_now(people: Collection[tuple[int, str]]) -> dict[tuple[int, str], Rights]:
    """(id of the user, key of the session) -> the rights that this gives now: NONE where the session has
    ended, is no longer that user's (a changed password ends it), or the user may not sign in. Three queries,
    however many they are."""
    ids, keys = {user_id for user_id, _ in people}, [key for _, key in people]
    users, memberships = User.objects.in_bulk(ids), _memberships(ids)
    sessions = Session.objects.filter(session_key__in=keys, expire_date__gt=Now()).in_bulk()
    return {
        (user_id, key): _rights(user, memberships[user_id])
        if (user := users.get(user_id)) and _is_theirs(sessions.get(key), user)
        else NONE
        for user_id, key in people
    }


def _memberships(user_ids: Collection[int]) -> dict[int, list[Membership]]:
    found: dict[int, list[Membership]] = defaultdict(list)
    rows = Group.objects.filter(user__in=user_ids).values_list("user__pk", *MEMBERSHIP)
    for user_id, name, target_id, role in rows:
        found[user_id].append((name, target_id, role))
    return found


def _is_theirs(session: Session | None, user: User) -> bool:
    if session is None:
        return False
    known = session.get_decoded()
    hash_then, hash_now = str(known.get(HASH_SESSION_KEY, "")), user.get_session_auth_hash()
    return str(known.get(SESSION_KEY)) == str(user.pk) and constant_time_compare(hash_then, hash_now)
