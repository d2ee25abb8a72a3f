"""One URL, two answers: the whole page, and for htmx the part of it that is kept current."""

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from dbops.access import OpsRequest


def page_or_fragment(request: OpsRequest, page: str, fragment: str, context: dict[str, Any]) -> HttpResponse:
    """The browser's cache must never show the fragment as the page (Back does not ask again)."""
    response = render(request, fragment if request.htmx else page, context)
    patch_vary_headers(response, ["HX-Request"])
    if request.htmx:
        response["Cache-Control"] = "no-store"
    return response


@sync_to_async
def too_many(request: OpsRequest, error: Exception) -> HttpResponse:
    """A person has as many of something at work as one may."""
    return render(request, "too_long.html", {"words": str(error)}, status=429)
