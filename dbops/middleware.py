"""Signed out in the middle: htmx and streams must not swap a login page into a part of the page."""

from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django_htmx.http import HttpResponseClientRedirect


class SignedInMiddleware(LoginRequiredMiddleware):
    """Every URL refuses anonymous use unless its view says otherwise (login_not_required)."""

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> Any:
        if "text/event-stream" in request.headers.get("Accept", ""):
            return HttpResponse("Signed out. Sign in again to go on.", status=401, content_type="text/plain")
        if getattr(request, "htmx", False):
            return HttpResponseClientRedirect(redirect_to_login("/").url)
        return super().handle_no_permission(request, view_func)
