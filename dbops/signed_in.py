"""Who comes to a view: somebody who is signed in, and has what they must have."""

from typing import Any
from urllib.parse import urlencode, urlsplit

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

from dbops import confirming
from dbops.access import SAFE_METHODS
from dbops.signing import factors, sessions, trail


class SignedInMiddleware(LoginRequiredMiddleware):
    """Every URL refuses anonymous use unless its view says otherwise (login_not_required).

    Signed out in the middle: htmx and streams must not swap a login page into a part of the page.
    """

    def process_view(self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any) -> Any:
        refused = super().process_view(request, view_func, view_args, view_kwargs)
        if refused is not None or not isinstance(request.user, User) or is_open(view_func):
            return refused
        if not asks_by_itself(request) and sessions.is_idle(request, request.user):
            trail.record("sign_out", request, request.user, why="nobody used it")
            logout(request)
            return self.handle_no_permission(request, view_func)
        if not may_without_second_factor(view_func) and factors.is_lacking(request.user):
            return elsewhere(request, reverse("second_factor"), "Set up your second factor first.")
        if is_change_by_admin(request) and not confirming.is_recent(request):
            return ask_to_confirm(request)
        return None

    def process_exception(self, request: HttpRequest, problem: Exception) -> HttpResponse | None:
        return ask_to_confirm(request) if isinstance(problem, confirming.NotConfirmedError) else None

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> Any:
        if is_stream(request):
            return HttpResponse("Signed out. Sign in again to go on.", status=401, content_type="text/plain")
        if getattr(request, "htmx", False):
            return HttpResponseClientRedirect(redirect_to_login("/").url)
        if request.method not in ("GET", "HEAD"):
            # The act was not done and cannot be done by coming back to its address.
            return redirect_to_login(_page_of(request))
        return super().handle_no_permission(request, view_func)


def is_open(view: Any) -> bool:
    return not getattr(view, "login_required", True)


def may_without_second_factor(view: Any) -> bool:
    return getattr(view, "without_second_factor", False)


def is_change_by_admin(request: HttpRequest) -> bool:
    match = request.resolver_match
    return request.method not in SAFE_METHODS and match is not None and "admin" in match.app_names


def asks_by_itself(request: HttpRequest) -> bool:
    """A page that is kept current, whether or not somebody looks at it. An act is somebody's."""
    return request.method in SAFE_METHODS and (bool(getattr(request, "htmx", False)) or is_stream(request))


def is_stream(request: HttpRequest) -> bool:
    return "text/event-stream" in request.headers.get("Accept", "")


def ask_to_confirm(request: HttpRequest) -> HttpResponse:
    """The act was not done; the page that its form stood on comes back behind the confirmation."""
    words = "Nothing was done. This needs to know that it is you: confirm it, then send the form again."
    messages.warning(request, words)
    return elsewhere(request, f"{reverse('confirmation')}?{urlencode({'next': _page_of(request)})}", words)


def elsewhere(request: HttpRequest, url: str, words: str) -> HttpResponse:
    """A stream cannot go there, and is told why it ends."""
    if is_stream(request):
        return HttpResponse(words, status=403, content_type="text/plain")
    return HttpResponseClientRedirect(url) if getattr(request, "htmx", False) else HttpResponseRedirect(url)


def _page_of(request: HttpRequest) -> str:
    """The page that the form stood on, if it is one of ours."""
    htmx = getattr(request, "htmx", None)
    referer = (htmx.current_url if htmx else None) or request.headers.get("Referer", "")
    ours = url_has_allowed_host_and_scheme(referer, {request.get_host()}, require_https=request.is_secure())
    page = urlsplit(referer)._replace(scheme="", netloc="", fragment="").geturl() if ours else ""
    return page or "/"
