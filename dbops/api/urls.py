"""/api/v1/: the operations, and for whatever else is below /api/ a problem document."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI

from dbops import converters  # noqa: F401 (registers them)
from dbops.api import following, jobs, reading
from dbops.api.doors import ApiRequest
from dbops.api.handlers import handle
from dbops.api.openapi import document
from dbops.api.parsing import JsonParser
from dbops.api.problems import NOT_FOUND, NOTHING_HERE, Problem, answer
from dbops.api.reading import READS


def no_door(request: HttpRequest) -> Any:
    """Of an operation that names no door of its own: none opens."""
    raise AssertionError("an operation of the API has no door")


api = NinjaAPI(
    title="opsdash",
    version="1",
    description="Manual: docs/api.md.",
    urls_namespace="api",
    openapi_url=None,
    docs_url=None,
    auth=no_door,
    parser=JsonParser(),
)
api.add_router("", reading.router)
api.add_router("", jobs.router)
api.add_router("", following.router)
handle(api)


@api.get("/openapi.json", auth=READS, include_in_schema=False)
def openapi(request: ApiRequest) -> HttpResponse:
    """This document. Like all else it is for those who have a token: an installation tells strangers nothing,
    not even its version."""
    return JsonResponse(document(api))


@csrf_exempt
@login_not_required
def nothing_here(request: HttpRequest) -> HttpResponse:
    return answer(Problem(NOT_FOUND, NOTHING_HERE))


def _operations() -> list[URLPattern]:
    """No session signs anybody in here: each operation has a door, which middleware does not know."""
    found = [pattern for pattern in api.urls[0] if isinstance(pattern, URLPattern)]
    for pattern in found:
        pattern.callback = login_not_required(pattern.callback)
    return [pattern for pattern in found if pattern.name != "api-root"]


urlpatterns = [
    path("v1/", include((_operations(), "api"))),
    re_path("", nothing_here, name="nothing_here"),
]
