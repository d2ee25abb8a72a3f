"""Failed sign-ins are counted by name and by address, wrong codes by person. Whoever has too many
waits, whether that name exists or not; who is signed in already stays so."""

from allauth.core.internal import ratelimit
from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpRequest

from dbops import conf

APP = "allauth.account"
FAILED = "login_failed"
WAIT = (
    "Too many failed tries. Nothing was looked at this time. Wait some minutes, then try again. Who is "
    "signed in already stays so."
)


def key_of_name(name: str) -> str:
    return f"name:{name.strip().casefold()}"


def key_of_codes(user: User) -> str:
    return f"codes:{user.pk}"


def key_of_confirmations(user: User) -> str:
    """Of their own: whoever fails to sign in with somebody's name keeps nobody from confirming an act."""
    return f"confirmations:{user.pk}"


def may_try(request: HttpRequest, key: str) -> bool:
    """It counts as a failure until it is forgiven, so that tries that come all at once count too."""
    usage = ratelimit.consume(request, app=APP, action=FAILED, key=key)
    request.opsdash_try = usage  # type: ignore[attr-defined]
    return usage is not None


def forgive(request: HttpRequest) -> None:
    """This try alone: who knows a password of their own cannot undo their failures with others'."""
    usage = getattr(request, "opsdash_try", None)
    if usage:
        usage.rollback()


def may_ask_provider(request: HttpRequest) -> bool:
    """Each time we ask the provider something, and a thread waits for it."""
    rates = {"provider": f"{conf.knob('SIGN_IN_TRIES_ADDRESS')}/60s/ip"}
    usage = ratelimit.consume(request, app=APP, action="provider", config=rates, limit_get=True)
    return usage is not None


def lift(*, name: str = "", address: str = "") -> int:
    """How many limits were counting. Those of a person are of their name, codes and confirmations."""
    found = cache.get_many(_keys(name, address))
    cache.delete_many(found)
    return len(found)


def _keys(name: str, address: str) -> list[str]:
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = address
    keys = [key_of_name(name)] if name else []
    for user in User.objects.filter(username=name):
        keys += [key_of_codes(user), key_of_confirmations(user)]
    rates = ratelimit.get_rates(app=APP, action=FAILED)
    by_key = [
        ratelimit.get_cache_key(request, app=APP, action=FAILED, rate=rate, key=key)
        for rate in rates
        if rate.per == "key"
        for key in keys
    ]
    by_address = [
        ratelimit.get_cache_key(request, app=APP, action=FAILED, rate=rate)
        for rate in rates
        if rate.per == "ip" and address
    ]
    return by_key + by_address
