"""The audit trail: read, one event, and exported."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from dbops import conf
from dbops.access import OpsRequest, Role, actor_of, needs, roles_now
from dbops.forms import AuditFilter, AuditPlace, ExportForm
from dbops.models import AuditEvent
from dbops.pages import audit_export
from dbops.pages.audit import audit_page, event_page
from dbops.pages.audit_query import SIZE_MOST, Cursor, Scope, Wanted, chunk, scope_of
from dbops.transcript.threads import beside_the_loop
from dbops.views.answers import too_many
from dbops.views.places import Download, TooManyError


@require_GET
@needs(Role.STAFF)
def audit(request: OpsRequest) -> HttpResponse:
    form, place = AuditFilter(request.GET), AuditPlace(request.GET)
    if not form.is_valid() or not place.is_valid():
        return render(request, "pages/audit.html", {"form": form}, status=422)
    size, before, after = (place.cleaned_data[name] for name in ("size", "before", "after"))
    page = audit_page(
        Wanted(**form.wanted),
        scope_of(request.role),
        size if size is not None else conf.knob("PAGE_SIZE"),
        Cursor.parse(before),
        Cursor.parse(after),
    )
    context = {"page": page, "form": form, "most": audit_export.MOST, "largest": SIZE_MOST}
    return render(request, "pages/audit.html", context)


@require_GET
@needs(Role.STAFF)
def audit_event(request: OpsRequest, event_id: int) -> HttpResponse:
    page = event_page(scope_of(request.role), event_id)
    if page is None:
        raise Http404
    return render(request, "pages/audit_event.html", {"page": page})


@require_POST
@needs(Role.STAFF)
async def audit_export_file(request: OpsRequest) -> HttpResponseBase:
    """All that matches, newest first, as a file. It is an act: it stands in the audit trail itself, and holds
    what was there before."""
    form = ExportForm(request.POST)
    if not form.is_valid():
        return await _again(request, form)
    kind = form.cleaned_data["format"]
    wanted = Wanted(**{name: value for name, value in form.wanted.items() if name != "format"})
    own = await sync_to_async(record_export)(request, wanted, kind)
    who = request.user.pk, request.session.session_key or ""
    parts = _file(wanted, scope_of(request.role), kind, Cursor.of(own), who)
    try:
        download = Download(request.user.pk, parts)
    except TooManyError as error:
        return await too_many(request, error)
    return StreamingHttpResponse(
        download,
        content_type=audit_export.TYPES[kind],
        headers={"Content-Disposition": f'attachment; filename="opsdash-audit-{own.pk}.{kind}"'},
    )


@sync_to_async
def _again(request: HttpRequest, form: ExportForm) -> HttpResponse:
    return render(request, "pages/audit.html", {"form": form}, status=422)


def record_export(request: OpsRequest, wanted: Wanted, kind: str) -> AuditEvent:
    return AuditEvent.objects.record(
        "audit.export", actor_of(request), format=kind, filters=wanted.document()
    )


async def _file(
    wanted: Wanted, scope: Scope, kind: str, behind: Cursor, who: tuple[int, str]
) -> AsyncIterator[str]:
    """No connection is held while a slow client takes what there is. Whether it still may have the rest is
    looked at before each part of it."""
    yield audit_export.head(kind)
    left = audit_export.MOST
    for part in count():
        if part and (await _roles_now([who]))[who] < Role.STAFF:
            yield audit_export.last_words(
                kind, "you may not see this any more; the rest is not in this file."
            )
            return
        some = (await _chunk(wanted, scope, behind))[:left]
        if not some:
            return
        yield audit_export.lines(kind, some)
        left, behind = left - len(some), Cursor.of(some[-1])
        if not left:
            yield audit_export.last_words(
                kind, f"a file has {audit_export.MOST:,} events; ask for fewer days."
            )
            return


_chunk: Any = beside_the_loop(chunk)
_roles_now = beside_the_loop(roles_now)
