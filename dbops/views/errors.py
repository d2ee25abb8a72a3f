"""What a person sees when a request could not be answered through no fault of theirs."""

import logging
import sys

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.defaults import server_error

from dbops.models.away import is_away, took_too_long, words, words_too_long

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 5


def failed(request: HttpRequest) -> HttpResponse:
    """handler500: opsdash's own database being away is no error of ours and passes by itself: 503."""
    problem = sys.exc_info()[1]
    if took_too_long(problem):
        return too_long(request)
    return away(request, problem) if problem and is_away(problem) else server_error(request)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW: a form without the token of its session, or from elsewhere."""
    request.refused_because = f"CSRF: {reason}"  # type: ignore[attr-defined]
    return render(request, "403_csrf.html", status=403)


def too_long(request: HttpRequest) -> HttpResponse:
    logger.warning("%r is not answered, it asks too much of our database", request.path)
    page = render_to_string("too_long.html", {"words": words_too_long()})
    return HttpResponse(page, status=503, headers={"Cache-Control": "no-store"})


def away(request: HttpRequest, problem: BaseException) -> HttpResponse:
    logger.warning("%r is not answered, our database fails: %s", request.path, problem)
    headers = {"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"}
    if "text/event-stream" in request.headers.get("Accept", ""):
        return HttpResponse(words(problem), status=503, content_type="text/plain", headers=headers)
    # Without the request: no context processor may ask the database.
    page = render_to_string(
        "503.html",
        {
            "words": words(problem),
            "acted": request.method not in ("GET", "HEAD"),
            "retry_after": RETRY_AFTER_S,
        },
    )
    return HttpResponse(page, status=503, headers=headers)
