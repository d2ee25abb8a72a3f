from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse


@login_not_required
def livez(request: HttpRequest) -> HttpResponse:
    """The process answers. No I/O: a database that is away must not get the web process restarted."""
    return HttpResponse("ok\n", content_type="text/plain")
