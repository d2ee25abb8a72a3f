"""What comes before every view: is the process alive, and is somebody signed in."""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

from dbops.plain import plain_page


@sync_and_async_middleware
def livez(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """/livez: the process answers. No I/O: a database that is away must not get the web process restarted.

    In front of all others, since health checks ask by address, which OPSDASH_ALLOWED_HOSTS need not list.
    """

    async def answer(request: HttpRequest) -> Any:
        return alive() if request.path == "/livez" else await get_response(request)

    def answer_sync(request: HttpRequest) -> Any:
        return alive() if request.path == "/livez" else get_response(request)

    return answer if iscoroutinefunction(get_response) else answer_sync


def alive() -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


@sync_and_async_middleware
def plain_pages(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """What targets and people call their things stands in every page: none of it steers what is read.

    Behind CommonMiddleware, which tells the length.
    """

    async def answer(request: HttpRequest) -> Any:
        return made_plain(await get_response(request))

    def answer_sync(request: HttpRequest) -> Any:
        return made_plain(get_response(request))

    return answer if iscoroutinefunction(get_response) else answer_sync


def made_plain(response: HttpResponseBase) -> HttpResponseBase:
    is_page = response.get("Content-Type", "").startswith("text/html")
    if isinstance(response, HttpResponse) and is_page and response.charset.lower() == "utf-8":
        response.content = plain_page(response.content)
    return response


class SignedInMiddleware(LoginRequiredMiddleware):
    """Every URL refuses anonymous use unless its view says otherwise (login_not_required).

    Signed out in the middle: htmx and streams must not swap a login page into a part of the page.
    """

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> Any:
        if "text/event-stream" in request.headers.get("Accept", ""):
            return HttpResponse("Signed out. Sign in again to go on.", status=401, content_type="text/plain")
        if getattr(request, "htmx", False):
            return HttpResponseClientRedirect(redirect_to_login("/").url)
        if request.method not in ("GET", "HEAD"):
            # The act was not done and cannot be done by coming back to its address.
            return redirect_to_login(_page_of(request))
        return super().handle_no_permission(request, view_func)


def _page_of(request: HttpRequest) -> str:
    """The page that the form stood on, if it is one of ours."""
    referer = request.headers.get("Referer", "")
    ours = url_has_allowed_host_and_scheme(referer, {request.get_host()}, require_https=request.is_secure())
    return urlsplit(referer).path or "/" if ours else "/"
