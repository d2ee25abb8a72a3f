"""What a parameter may cost: a page asks our database for so long, and says so where that was not enough."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from dbops import conf
from dbops.access import OpsRequest
from dbops.models.limits import TookTooLongError, within


def limited(hint: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """For views that only read. `hint`: how to ask for less."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def bounded(request: OpsRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                with within(conf.knob("QUERY_TIMEOUT_MS"), hint):
                    return view(request, *args, **kwargs)
            except TookTooLongError as error:
                return render(request, "too_long.html", {"words": str(error)}, status=503)

        return bounded

    return decorate
