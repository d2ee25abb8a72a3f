"""The audit trail: read, one event, and exported."""

import logging
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_POST

from dbops import conf
from dbops.access import OpsRequest, actor_of, insist, needs
from dbops.forms import AuditFilter, AuditPlace, ExportForm
from dbops.models import AuditEvent
from dbops.models.away import took_too_long, words_too_long
from dbops.pages import audit_export
from dbops.pages.audit import audit_page, event_page
from dbops.pages.audit_query import SIZE_MOST, Cursor, Wanted, chunk, may_be_told
from dbops.rights import Role, rights_now
from dbops.transcript.threads import beside_the_loop
from dbops.views.answers import too_many
from dbops.views.places import Download, TooManyError

logger = logging.getLogger(__name__)


@require_GET
@needs(Role.STAFF)
def audit(request: OpsRequest) -> HttpResponse:
    form, place = AuditFilter(request.GET), AuditPlace(request.GET)
    if not form.is_valid() or not place.is_valid():
        return render(request, "pages/audit.html", {"form": form}, status=422)
    size, before, after = (place.cleaned_data[name] for name in ("size", "before", "after"))
    page = audit_page(
        Wanted(**form.wanted),
        request.rights,
        size if size is not None else conf.knob("PAGE_SIZE"),
        Cursor.parse(before),
        Cursor.parse(after),
    )
    context = {"page": page, "form": form, "most": f"{audit_export.MOST:,}", "largest": SIZE_MOST}
    return render(request, "pages/audit.html", context)


@require_GET
@needs(Role.STAFF)
def audit_event(request: OpsRequest, event_id: int) -> HttpResponse:
    page = event_page(get_object_or_404(AuditEvent, may_be_told(request.rights), pk=event_id))
    if page.target:
        insist(request, page.target)
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
    try:
        download = Download(request.user.pk)
    except TooManyError as error:
        return await too_many(request, error)
    own = await sync_to_async(record_export)(request, wanted, kind)
    who = request.user.pk, request.session.session_key or ""
    return StreamingHttpResponse(
        download.of(_file(wanted, kind, Cursor.of(own), who)),
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


async def _file(wanted: Wanted, kind: str, behind: Cursor, who: tuple[int, str]) -> AsyncIterator[str]:
    """No connection is held while a slow client takes what there is. What it may see is looked at before each
    part of it."""
    yield audit_export.head(kind)
    left = audit_export.MOST
    while left:
        rights = (await _rights_now([who]))[who]
        if rights.highest < Role.STAFF:
            yield audit_export.last_words(
                kind, "you may not see this any more; the rest is not in this file."
            )
            return
        try:
            some = (await _chunk(wanted, rights, behind))[:left]
        except OperationalError as error:
            if not took_too_long(error):
                raise
            logger.warning("an export of the audit trail is cut short, it asks too much of our database")
            yield audit_export.last_words(kind, f"the rest is not in this file. {words_too_long()}")
            return
        if not some:
            return
        yield audit_export.lines(kind, some)
        left, behind = left - len(some), Cursor.of(some[-1])
    yield audit_export.last_words(kind, f"a file has {audit_export.MOST:,} events; ask for fewer days.")


_chunk: Any = beside_the_loop(chunk)
_rights_now = beside_the_loop(rights_now)
