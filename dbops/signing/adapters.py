"""What django-allauth asks of us: where a request comes from, how secrets are kept, what is said."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.contrib.auth import authenticate
from django.contrib.auth.models import AbstractBaseUser, User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url

from dbops import sealing
from dbops.access import client_address
from dbops.signing import limits, trail, waiting


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Its rate limits are counted in our database (the cache there): they hold for all web processes, and
    whether Redis answers or not."""

    error_messages = {**DefaultAccountAdapter.error_messages, "too_many_login_attempts": limits.WAIT}

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request) or "unknown"

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Of the name alone: by another host name of ours the same failures count."""
        return limits.key_of_name(str(credentials.get("username", "")))

    def authenticate(self, request: HttpRequest, **credentials: Any) -> AbstractBaseUser | None:
        """Somebody who may not sign in gets the answer of somebody who does not exist."""
        if not limits.may_try(request, self._get_login_attempts_cache_key(request, **credentials)):
            trail.limited(request, str(credentials.get("username", "")))
            raise self.validation_error("too_many_login_attempts")
        user = authenticate(request, **credentials)
        if user is None:
            trail.failed(request, str(credentials.get("username", "")), by="password")
        else:
            limits.forgive(request)
        return user

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Pages say what was done in their own words."""

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> None:
        waiting.begin(request, user)

    def post_login(
        self, request: HttpRequest, user: User, *, redirect_url: str | None, **kwargs: Any
    ) -> HttpResponse:
        trail.signed_in(request, user)
        return HttpResponseRedirect(redirect_url or resolve_url("overview"))


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Secrets of second factors are sealed as those of targets are."""

    def get_totp_label(self, user: User) -> str:
        return user.get_username()

    def get_totp_issuer(self) -> str:
        return "opsdash"

    def encrypt(self, text: str) -> str:
        return sealing.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return sealing.unseal(encrypted_text)
