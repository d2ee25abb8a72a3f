"""One's own account: sessions, password, second factor."""

import base64
from contextlib import suppress
from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.flows import generate_recovery_codes
from allauth.mfa.totp.internal.auth import generate_totp_secret, validate_totp_code
from allauth.mfa.totp.internal.flows import activate_totp, deactivate_totp
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.crypto import salted_hmac
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dbops import conf, confirming, sealing
from dbops.access import OpsRequest, needs
from dbops.forms_signing import CodeForm, PasswordForm
from dbops.models import Identity, SignIn
from dbops.rights import Role
from dbops.signing import factors, limits, sessions, trail
from dbops.views.marks import without_second_factor
from dbops.views.signing import check_code, too_many

OF_SESSION = "dbops.account.session"
# In the audit trail: who is signed in did not prove to be that person, or to have that phone.
FAILED = "confirmation.failed"
CONFIRMED = "Confirmed. Nothing was sent for you meanwhile: what you wanted to do is still to be done."


@require_GET
@never_cache
@without_second_factor
@needs(Role.NOBODY)
def account(request: OpsRequest) -> HttpResponse:
    key = request.session.session_key
    context = {
        "sessions": [(row, name_of(row), row.pk == key) for row in sessions.of(request.user)],
        "has_factor": factors.has(request.user),
        "must_have_factor": factors.is_required(request.user),
        "codes_left": factors.codes_left(request.user),
        "has_password": request.user.has_usable_password(),
        "identity": Identity.objects.filter(user=request.user).first(),
        "provider": conf.provider(),
    }
    return render(request, "pages/account.html", context)


def name_of(row: SignIn) -> str:
    """The key itself stays out of every page."""
    return salted_hmac(OF_SESSION, row.pk).hexdigest()[:32]


@require_POST
@without_second_factor
@needs(Role.NOBODY)
def own_sessions(request: OpsRequest) -> HttpResponse:
    """Ends one of them, or all but this one."""
    this = request.session.session_key or ""
    if "others" in request.POST:
        ended = sessions.end(request.user, but=this)
    else:
        wanted = request.POST.get("session", "")
        keys = [row.pk for row in sessions.of(request.user) if name_of(row) == wanted and row.pk != this]
        ended = sum(sessions.end(request.user, key=key) for key in keys)
    if ended:
        trail.record("sessions.end", request, request.user, ended=ended)
    messages.info(request, f"Signed out elsewhere: {ended}. What is open there ends within a minute.")
    return redirect("account")


@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters()
@needs(Role.NOBODY, confirmed=True)
def password(request: OpsRequest) -> HttpResponse:
    if not request.user.has_usable_password():
        raise PermissionDenied("Your account has no password: you sign in elsewhere. Nothing was done.")
    form = PasswordChangeForm(request.user, request.POST or None)
    if request.method != "POST":
        return render(request, "pages/password.html", {"form": form})
    if not limits.may_confirm(request, request.user):
        status = too_many(request, request.user, form)
        return render(request, "pages/password.html", {"form": form}, status=status)
    is_valid = form.is_valid()
    if form.has_error("old_password"):
        trail.record(FAILED, request, request.user, by="old password")
    else:
        limits.forgive(request)
    if not is_valid:
        return render(request, "pages/password.html", {"form": form}, status=422)
    row = SignIn.objects.filter(pk=request.session.session_key).first()
    update_session_auth_hash(request, form.save())
    sessions.keep(request, request.user, since=row)
    sessions.end(request.user, but=request.session.session_key or "")
    trail.record("password.change", request, request.user)
    messages.success(request, "The password is changed. You are signed out everywhere else.")
    return redirect("account")


@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters()
@without_second_factor
@needs(Role.NOBODY, confirmed=True)
def second_factor(request: OpsRequest) -> HttpResponse:
    """Sets it up: a secret for an app on a phone, proven by a code of it. The codes for a lost phone are in
    the answer, and nowhere afterwards."""
    if factors.has(request.user):
        return redirect("account")
    form = CodeForm(request.POST or None)
    secret = _secret(request)
    if request.method != "POST" or not form.is_valid():
        return _set_up(request, form, secret, 422 if request.method == "POST" else 200)
    if not limits.may_confirm(request, request.user):
        return _set_up(request, form, secret, too_many(request, request.user, form))
    if not validate_totp_code(secret, form.cleaned_data["code"]):
        trail.record(FAILED, request, request.user, by="code of a set-up")
        form.add_error(
            "code", "This code is not right. A new one comes every 30 seconds; is the phone's clock right?"
        )
        return _set_up(request, form, secret, 422)
    limits.forgive(request)
    form.secret = secret  # type: ignore[attr-defined]
    try:
        # Of its own: what fails is undone by itself.
        with transaction.atomic():
            factor, codes = activate_totp(request, form)
    except IntegrityError:
        return redirect("account")  # another page of theirs was first
    factor.wrap().validate_code(form.cleaned_data["code"])  # it is used by this
    trail.record("second_factor.on", request, request.user)
    # None of them has ever shown a code.
    sessions.end(request.user, but=request.session.session_key or "")
    return _codes(request, codes, "The second factor is on.")


def _secret(request: OpsRequest) -> str:
    """That of the page whose form this is; a look at the page keeps nothing."""
    with suppress(sealing.CannotUnsealError):
        whose, _, kept = sealing.unseal(request.POST.get("sealed", "")).partition(":")
        if whose == str(request.user.pk):
            return kept
    secret: str = generate_totp_secret()
    return secret


def _set_up(request: OpsRequest, form: CodeForm, secret: str, status: int) -> HttpResponse:
    adapter = get_adapter()
    url = adapter.build_totp_url(request.user, secret)
    picture = base64.b64encode(adapter.build_totp_svg(url).encode()).decode()
    context = {
        "form": form,
        "sealed": sealing.seal(f"{request.user.pk}:{secret}"),
        "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        "picture": f"data:image/svg+xml;base64,{picture}",
        "must": factors.is_required(request.user),
    }
    return render(request, "pages/second_factor.html", context, status=status)


def _codes(request: OpsRequest, codes: Authenticator | None, words: str) -> HttpResponse:
    context = {"codes": codes.wrap().get_unused_codes() if codes else [], "words": words}
    return render(request, "pages/recovery_codes.html", context)


@require_POST
@needs(Role.NOBODY, confirmed=True)
def second_factor_off(request: OpsRequest) -> HttpResponse:
    if factors.is_required(request.user):
        raise PermissionDenied("You must have a second factor, so it stays on. Nothing was done.")
    found = Authenticator.objects.filter(user=request.user, type=Authenticator.Type.TOTP).first()
    if found:
        deactivate_totp(request, found)
        trail.record("second_factor.off", request, request.user)
    messages.warning(request, "The second factor is off: the password alone signs you in.")
    return redirect("account")


@require_POST
@never_cache
@needs(Role.NOBODY, confirmed=True)
def recovery_codes(request: OpsRequest) -> HttpResponse:
    """New ones; the old ones are worth nothing any more."""
    if not factors.has(request.user):
        return redirect("account")
    codes = generate_recovery_codes(request)
    trail.record("recovery_codes.new", request, request.user)
    return _codes(request, codes, "These are new codes; the old ones are worth nothing any more.")


@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters()
@without_second_factor
@needs(Role.NOBODY)
def confirmation(request: OpsRequest) -> HttpResponse:
    """That it is them, by password or code. The act that led here was not done, and is not done by this."""
    if request.method != "POST":
        return _ask(request, {}, 200)
    status, forms = _by_code(request) if "code" in request.POST else _by_password(request)
    if status != 200:
        return _ask(request, forms, status)
    return confirmed(request, by="code" if "code" in request.POST else "password")


def confirmed(request: OpsRequest, *, by: str, to: str = "") -> HttpResponse:
    confirming.note(request)
    trail.record("confirmation", request, request.user, by=by)
    messages.info(request, CONFIRMED)
    return redirect(to or confirming.safe_page(request, request.POST.get("next", "")))


def _by_password(request: OpsRequest) -> tuple[int, dict[str, Any]]:
    form = PasswordForm(request.POST)
    if not form.is_valid():
        return 422, {"password_form": form}
    if not limits.may_confirm(request, request.user):
        return too_many(request, request.user, form), {"password_form": form}
    if not request.user.check_password(form.cleaned_data["password"]):
        trail.record(FAILED, request, request.user, by="password")
        form.add_error("password", "This is not your password.")
        return 422, {"password_form": form}
    limits.forgive(request)
    return 200, {}


def _by_code(request: OpsRequest) -> tuple[int, dict[str, Any]]:
    form = CodeForm(request.POST)
    if form.is_valid() and not limits.may_confirm(request, request.user):
        return too_many(request, request.user, form), {"code_form": form}
    return check_code(request, request.user, form, act=FAILED), {"code_form": form}


def _ask(request: OpsRequest, forms: dict[str, Any], status: int) -> HttpResponse:
    provider = conf.provider()
    wanted = request.POST.get("next") or request.GET.get("next", "")
    context = {
        "password_form": PasswordForm() if request.user.has_usable_password() else None,
        "code_form": CodeForm() if factors.has(request.user) else None,
        "provider": provider if Identity.objects.filter(user=request.user).exists() else None,
        "next": confirming.safe_page(request, wanted),
        **forms,
    }
    return render(request, "pages/confirmation.html", context, status=status)
