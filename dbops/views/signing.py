"""Signing in, with the code of a second factor where there is one, and out."""

from typing import Any

from allauth.account.internal.decorators import login_stage_required
from allauth.account.internal.flows.login import perform_password_login
from allauth.account.internal.stagekit import clear_login
from allauth.account.models import Login
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.stages import AuthenticateStage
from django.contrib import admin, messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, redirect_to_login
from django.core.exceptions import PermissionDenied
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from dbops import conf
from dbops.forms_signing import CodeForm, SignInForm
from dbops.sealing import CannotUnsealError
from dbops.signing import factors, limits, trail, waiting

NO_LONGER = "This sign-in waited for its code, and was ended meanwhile. Nobody is signed in. Begin again."


@method_decorator(login_not_required, name="dispatch")
class SignIn(LoginView):
    """By name and password; whoever has a second factor goes on to the page of its code."""

    authentication_form = SignInForm
    redirect_authenticated_user = True
    extra_context = {"provider": conf.provider}

    def form_valid(self, form: Any) -> HttpResponse:
        user = form.get_user()
        login = Login(user=user, redirect_url=self.get_success_url())
        response: HttpResponse = perform_password_login(
            self.request, {"username": user.get_username()}, login
        )
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 429 if form.has_error("__all__", "too_many_login_attempts") else 200
        return response


@never_cache
@login_not_required
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
@login_stage_required(stage=AuthenticateStage.key, redirect_urlname="login")  # type: ignore[untyped-decorator]
def code(request: HttpRequest) -> HttpResponse:
    """The password was right a moment ago; nobody is signed in yet."""
    stage = request._login_stage  # type: ignore[attr-defined]
    user = stage.login.user
    if not waiting.still_stands(request, user):
        clear_login(request)
        messages.warning(request, NO_LONGER)
        return redirect("login")
    form = CodeForm(request.POST or None)
    if request.method != "POST":
        return render(request, "registration/code.html", {"form": form})
    if form.is_valid() and not limits.may_try(request, limits.key_of_codes(user)):
        return render(request, "registration/code.html", {"form": form}, status=too_many(request, user, form))
    status = check_code(request, user, form, act="sign_in.failed")
    if status != 200:
        return render(request, "registration/code.html", {"form": form}, status=status)
    post_authentication(request, form.factor)
    response: HttpResponse = stage.exit()
    return response


def too_many(request: HttpRequest, user: User, form: Form) -> int:
    """Nothing was looked at."""
    trail.limited(request, user.get_username())
    form.add_error(None, limits.WAIT)
    return 429


def check_code(request: HttpRequest, user: User, form: CodeForm, *, act: str) -> int:
    """Of a try that was counted. 200: it is right, and is worth nothing any more; `form.factor` is what it
    belongs to. `act`: what it was for, in the audit trail, if it is wrong."""
    if not form.is_valid():
        return 422
    try:
        form.factor = factors.whose_code(user, form.cleaned_data["code"])
    except CannotUnsealError as problem:
        form.add_error(None, str(problem))
        return 500
    if form.factor is None:
        trail.record(act, request, user, by="code")
        form.add_error(
            "code", "This code is not right, or was used before. A new one comes every 30 seconds."
        )
        return 422
    limits.forgive(request)
    return 200


@login_not_required
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    if isinstance(request.user, User):
        trail.record("sign_out", request, request.user)
    logout(request)
    return redirect("login")


@login_not_required
def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """The admin has no way in of its own, which would know neither limits nor second factors."""
    if admin.site.has_permission(request):
        return redirect("admin:index")
    if request.user.is_authenticated:
        raise PermissionDenied(
            f"The configuration needs the role staff; {request.user.get_username()} has not got it. Nothing "
            "was done. Ask a superuser for the role if you need it."
        )
    wanted = request.GET.get("next", "")
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return redirect_to_login(wanted if ours else "/admin/")
