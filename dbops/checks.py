"""System checks: wrong combinations of settings, each with an id and a hint."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Advice
from django.db import connection

from dbops import conf


@register
def heartbeat_is_quicker_than_lost(**kwargs: Any) -> list[CheckMessage]:
    if conf.knob("LOST_AFTER_S") >= 3 * conf.knob("HEARTBEAT_S"):
        return []
    return [
        Error(
            "A job would be called lost although its worker lives.",
            hint="Let OPSDASH_LOST_AFTER_S be at least three times OPSDASH_HEARTBEAT_S.",
            id="dbops.E001",
        )
    ]


@register
def knowledge_outlives_its_interval(**kwargs: Any) -> list[CheckMessage]:
    if conf.knob("STALE_AFTER_S") >= 2 * conf.knob("INSPECTION_INTERVAL_S"):
        return []
    return [
        Advice(
            "Every target would be shown as unknown between two inspections.",
            hint="Let OPSDASH_STALE_AFTER_S be at least twice OPSDASH_INSPECTION_INTERVAL_S.",
            id="dbops.W001",
        )
    ]


@register
def probes_outlive_their_interval(**kwargs: Any) -> list[CheckMessage]:
    if conf.knob("PROBE_STALE_S") >= 2 * conf.knob("PROBE_INTERVAL_S"):
        return []
    return [
        Advice(
            "Every database would be shown as unknown between two probes.",
            hint="Let OPSDASH_PROBE_STALE_S be at least twice OPSDASH_PROBE_INTERVAL_S.",
            id="dbops.W003",
        )
    ]


@register(Tags.database)
def own_database_is_unicode(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """migrate asks this: what targets print, and our own documents, are text of every language."""
    if "default" not in (databases or []):
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_encoding')")
        (encoding,) = cursor.fetchone()
    if encoding == "UTF8":
        return []
    return [
        Error(
            f"opsdash's own database has the encoding {encoding}, and must have UTF8.",
            hint="Make another one: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and name it in "
            "DATABASE_URL.",
            id="dbops.E002",
        )
    ]


@register(deploy=True)
def static_files_are_collected(**kwargs: Any) -> list[CheckMessage]:
    if settings.STATIC_ROOT:
        return []
    return [
        Advice(
            "Static files are served from the source tree.",
            hint="Set OPSDASH_STATIC_ROOT and run collectstatic.",
            id="dbops.W002",
        )
    ]
