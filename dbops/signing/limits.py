"""Failed sign-ins are counted by name and by address, wrong codes and confirmations by person. Whoever has
too many waits, whether that name exists or not; who is signed in already stays so."""

from allauth.core.internal import ratelimit
from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpRequest

from dbops import conf

APP = "allauth.account"
FAILED = "login_failed"
CONFIRM = "confirm"
WAIT = (
    "Too many failed tries. Nothing was looked at this time. Wait some minutes, then try again. Who is "
    "signed in already stays so."
)


def key_of_name(name: str) -> str:
    return f"name:{name.strip().casefold()}"


def key_of_codes(user: User) -> str:
    return f"codes:{user.pk}"


def key_of_confirmations(user: User) -> str:
    return f"confirmations:{user.pk}"


def may_try(request: HttpRequest, key: str) -> bool:
    """It counts as a failure until it is forgiven, so that tries that come all at once count too."""
    return _keep(request, ratelimit.consume(request, app=APP, action=FAILED, key=key))


def may_confirm(request: HttpRequest, user: User) -> bool:
    """By person alone: whoever fails to sign in, with their name or from behind their address, keeps nobody
    who is signed in from saying who they are."""
    key = key_of_confirmations(user)
    return _keep(
        request, ratelimit.consume(request, app=APP, action=CONFIRM, config=_confirm_rates(), key=key)
    )


def _confirm_rates() -> dict[str, str]:
    return {CONFIRM: f"{conf.knob('SIGN_IN_TRIES')}/{conf.knob('SIGN_IN_WAIT_S')}s/key"}


def _keep(request: HttpRequest, usage: ratelimit.RateLimitUsage | None) -> bool:
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
    people = list(User.objects.filter(username=name))
    keys = [key_of_name(name)] if name else []
    keys += [key_of_codes(user) for user in people]
    found: list[str] = []
    for rate in ratelimit.get_rates(app=APP, action=FAILED):
        if rate.per == "key":
            found += [_key(request, FAILED, rate, key) for key in keys]
        elif address:
            found.append(_key(request, FAILED, rate))
    for rate in ratelimit.get_rates(app=APP, action=CONFIRM, config=_confirm_rates()):
        found += [_key(request, CONFIRM, rate, key_of_confirmations(user)) for user in people]
    return found


def _key(request: HttpRequest, action: str, rate: ratelimit.Rate, key: str | None = None) -> str:
    return str(ratelimit.get_cache_key(request, app=APP, action=action, rate=rate, key=key))
