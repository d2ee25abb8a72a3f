"""Second factors: who has one, who must have one, and what a code is worth."""

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction

from dbops import conf
from dbops.rights import Role, rights_of
from dbops.signing import waiting

NOBODY, STAFF, EVERYBODY = range(3)
COUNT = app_settings.RECOVERY_CODE_COUNT


def has(user: User) -> bool:
    return bool(Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists())


def is_required(user: User) -> bool:
    wanted = conf.knob("REQUIRE_SECOND_FACTOR")
    return wanted >= EVERYBODY or (wanted == STAFF and rights_of(user).highest >= Role.STAFF)


def is_lacking(user: User) -> bool:
    """They can do nothing but set it up."""
    return is_required(user) and not has(user)


def codes_left(user: User) -> int:
    found = Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).first()
    return COUNT - int(found.data["used_mask"]).bit_count() if found else 0


def whose_code(user: User, code: str) -> Authenticator | None:
    """The factor that this code is right for; a code is right once."""
    found = Authenticator.objects.filter(user=user).order_by("-type")
    return next((each for each in found if each.wrap().validate_code(code)), None)


@transaction.atomic
def reset(user: User) -> int:
    """For a lost phone: neither it nor any code is worth anything now, and nobody stays signed in."""
    waiting.end(user)
    Session.objects.filter(signin__user=user).delete()
    return int(Authenticator.objects.filter(user=user).delete()[0])
