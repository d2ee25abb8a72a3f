"""Signing in, and confirming that it is oneself, through the provider of single sign-on."""

from collections.abc import Mapping
from typing import Any

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from dbops import conf, confirming
from dbops.access import OpsRequest, needs
from dbops.rights import Role, rights_of
from dbops.signing import limits, people, provider, trail
from dbops.views.account import confirmed
from dbops.views.marks import without_second_factor

METHOD = "single sign-on"


@require_GET
@never_cache
@login_not_required
def provider_sign_in(request: HttpRequest) -> HttpResponse:
    """By a link, since the policy of the page lets no form lead to another host. It changes nothing but what
    this browser's session remembers of the way."""
    return _leave(request, act="sign_in")


@require_GET
@never_cache
@without_second_factor
@needs(Role.NOBODY)
def provider_confirmation(request: OpsRequest) -> HttpResponse:
    return _leave(request, act="confirm")


def _leave(request: HttpRequest, *, act: str) -> HttpResponse:
    if conf.provider() is None:
        raise Http404
    request.session[provider.UNDER_WAY] = {
        "act": act,
        "next": confirming.safe_page(request, request.GET.get("next", "")),
    }
    back_to = request.build_absolute_uri(reverse("provider_back"))
    try:
        _limit(request)
        return provider.leave(request, back_to, anew=act == "confirm")
    except provider.ProviderError as problem:
        return _failed(request, problem)


@require_GET
@never_cache
@login_not_required
def provider_back(request: HttpRequest) -> HttpResponse:
    if conf.provider() is None:
        raise Http404
    under_way = request.session.pop(provider.UNDER_WAY, None) or {}
    try:
        _limit(request)
        claims = provider.come_back(request)
        if under_way.get("act") == "confirm":
            return _confirm(request, claims, under_way["next"])
    except provider.ProviderError as problem:
        return _failed(request, problem)
    return _sign_in(request, claims, under_way.get("next", "/"))


def _confirm(request: HttpRequest, claims: Mapping[str, Any], to: str) -> HttpResponse:
    provider.require_fresh(claims)
    user = people.known(claims)
    if user is None or user != request.user:
        raise provider.ProviderError("It named somebody else than the one who is signed in here.")
    return confirmed(request, by=METHOD, to=to)  # type: ignore[arg-type]


def _sign_in(request: HttpRequest, claims: Mapping[str, Any], to: str) -> HttpResponse:
    user = people.welcome(request, claims)
    if not user.is_active:
        trail.failed(request, user.get_username(), by=METHOD)
        return _failed(request, provider.ProviderError("Your account here is switched off."))
    # Whoever was here before has left; nothing of theirs says how this one came.
    logout(request)
    record_authentication(request, user, method=METHOD)
    response: HttpResponse = perform_login(request, Login(user=user, redirect_url=to))
    if not provider.is_fresh(claims):
        # It may have answered without asking anybody, in a browser that somebody left open.
        request.session.pop(confirming.MOMENT, None)
    if not rights_of(user).highest:
        messages.warning(request, _without_role())
    return response


def _without_role() -> str:
    told = conf.provider()
    assert told is not None
    return (
        f"You are signed in through {told.name}, but none of your groups there gives you a role here, so "
        "there is nothing that you may see. Ask for a group, then sign out and in again."
    )


def _limit(request: HttpRequest) -> None:
    if not limits.may_ask_provider(request):
        raise provider.ProviderError(limits.WAIT)


def _failed(request: HttpRequest, problem: Exception) -> HttpResponse:
    context = {"problem": problem, "provider": conf.provider()}
    trail.provider_failed(request, str(problem))
    return render(request, "registration/provider_failed.html", context, status=502)
