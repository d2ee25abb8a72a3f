"""What stands before and behind every address of the API, also those that are none.

In: no cookie goes further, so no session is ever looked at, and no body that is too large. Out: whatever
refused or failed, in whichever layer, is a problem document, never a page, a redirect or a traceback.
"""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from dbops.api import problems
from dbops.api.problems import MEDIA_TYPE, Kind, Problem

PREFIX = "/api/"
BODY_BYTES = 65_536
# What a layer says that knows nothing of problems: its status, and what is said of it here.
SAID = {
    400: (
        problems.BAD_REQUEST,
        "Its host, its address or its body cannot be read. Nothing was done.",
    ),
    403: (problems.NOT_ALLOWED, "opsdash refuses this. Nothing was done."),
    404: (problems.NOT_FOUND, problems.NOTHING_HERE),
    405: (
        problems.METHOD,
        "Allow says which methods this address knows. Nothing was done.",
    ),
    411: (problems.NO_LENGTH, "Send the body with a Content-Length. Nothing was done."),
    413: (problems.TOO_LARGE, f"A body has {BODY_BYTES} bytes at most. Nothing was done."),
    503: (problems.AWAY, "opsdash's own database does not answer. Jobs that run go on. Ask again later."),
}
MISTAKE = (
    "opsdash made a mistake, which its log tells. Whether anything was done is not known: look before you "
    "ask again."
)
KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")


@sync_and_async_middleware
def gate(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    async def answer(request: HttpRequest) -> Any:
        if not is_of_api(request):
            return await get_response(request)
        return _refused(request) or _as_problem(await get_response(_without_cookies(request)))

    def answer_sync(request: HttpRequest) -> Any:
        if not is_of_api(request):
            return get_response(request)
        return _refused(request) or _as_problem(get_response(_without_cookies(request)))

    return answer if iscoroutinefunction(get_response) else answer_sync


def is_of_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(PREFIX)


def _without_cookies(request: HttpRequest) -> HttpRequest:
    request.META.pop("HTTP_COOKIE", None)
    request.__dict__.pop("COOKIES", None)
    # Where none is taken, no other site can use one.
    request.takes_no_cookies = True  # type: ignore[attr-defined]
    return request


def _refused(request: HttpRequest) -> HttpResponseBase | None:
    if "HTTP_TRANSFER_ENCODING" in request.META:
        return problems.answer(Problem(*SAID[411]))
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    fits = length.isascii() and length.isdigit() and int(length) <= BODY_BYTES
    return None if fits else problems.answer(Problem(*SAID[413]))


def _as_problem(response: HttpResponseBase) -> HttpResponseBase:
    response.headers.setdefault("Cache-Control", "no-store")
    if response.status_code < 300 or response.headers.get("Content-Type") == MEDIA_TYPE:
        return response
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    response.close()
    return problems.answer(Problem(*_said(response.status_code), headers))


def _said(status: int) -> tuple[Kind, str]:
    if status < 400:
        return problems.HTTPS_ONLY, "Ask by https, with a new token: this one went out in the open."
    return SAID.get(status, SAID[400] if status < 500 else (problems.FAILED, MISTAKE))
