"""What comes before every view: is the process alive, does a page of ours ask, and is somebody signed in."""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from dbops.access import SAFE_METHODS, audit_refusal
from dbops.plain import plain_page

Next = Callable[[HttpRequest], Any]

# Of every response; what a view says itself counts. A shared machine keeps no page of ours, no other site
# embeds or opens anything of it, and no page may use a device. Full screen and copying are left.
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(
        f"{name}=()"
        for name in (
            "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "hid", "magnetometer",
            "microphone", "midi", "payment", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
        )
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}  # fmt: skip
OTHER_SITE = (
    "A page of another site asked for this, as the browser says (Sec-Fetch-Site). Nothing was done. "
    "Open opsdash itself and do it there."
)


@sync_and_async_middleware
def headers(get_response: Next) -> Next:
    """In front of all others, so that no error is answered without them."""

    async def answer(request: HttpRequest) -> Any:
        return _with_headers(await get_response(request))

    def answer_sync(request: HttpRequest) -> Any:
        return _with_headers(get_response(request))

    return answer if iscoroutinefunction(get_response) else answer_sync


def _with_headers(response: HttpResponseBase) -> HttpResponseBase:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


@sync_and_async_middleware
def own_site(get_response: Next) -> Next:
    """What another site's page asks for is refused, unless it is a link to a page. A browser says who asks,
    no script can change that; what is no browser says nothing. Beside the tokens of forms, and for what has
    none: streams, parts of pages, lines, downloads. https://web.dev/articles/fetch-metadata"""

    async def answer(request: HttpRequest) -> Any:
        refuse_other_sites(request)
        return await get_response(request)

    def answer_sync(request: HttpRequest) -> Any:
        refuse_other_sites(request)
        return get_response(request)

    return answer if iscoroutinefunction(get_response) else answer_sync


def refuse_other_sites(request: HttpRequest) -> None:
    if getattr(request, "takes_no_cookies", False):
        return
    site = request.headers.get("Sec-Fetch-Site", "none")
    is_link = (
        request.method in ("GET", "HEAD")
        and request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest", "document") == "document"
    )
    if site not in ("same-origin", "none") and not is_link:
        request.refused_because = OTHER_SITE  # type: ignore[attr-defined]
        raise PermissionDenied(OTHER_SITE)


@sync_and_async_middleware
def refusals(get_response: Next) -> Next:
    """An act that was refused to a person stands in the audit trail, whoever refused it: a missing token,
    another site, the configuration's own rules."""

    async def answer(request: HttpRequest) -> Any:
        response = await get_response(request)
        if _is_refused_act(request, response):
            await sync_to_async(audit_refusal)(request, reason=_why(request))
        return response

    def answer_sync(request: HttpRequest) -> Any:
        response = get_response(request)
        if _is_refused_act(request, response):
            audit_refusal(request, reason=_why(request))
        return response

    return answer if iscoroutinefunction(get_response) else answer_sync


def _is_refused_act(request: HttpRequest, response: HttpResponseBase) -> bool:
    return response.status_code == 403 and request.method not in SAFE_METHODS


def _why(request: HttpRequest) -> str:
    return str(getattr(request, "refused_because", ""))


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
