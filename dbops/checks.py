"""System checks: wrong combinations of settings, each with an id and a hint."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Advice

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
