"""Moments and durations as people read them; the exact one stays in the markup."""

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dbops.models import Job, clock

register = template.Library()


@register.simple_tag
def our_now() -> str:
    """What the clock behind all stored moments shows; the browser counts on from it."""
    return clock.now().isoformat(timespec="seconds")


@register.filter
def age(moment: datetime | None) -> SafeString | str:
    """How long ago, with the moment in the title; `never` without one."""
    if moment is None:
        return "never"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(timespec="seconds"),
        f"{moment:%Y-%m-%d %H:%M:%S} UTC",
        age_words(moment),
    )


def age_words(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    return f"{duration(max(0, int((clock.now() - moment).total_seconds())))} ago"


@register.filter
def took(job: Job) -> str:
    """From the claim to the end, or to now."""
    if job.started_at is None:
        return "not begun"
    seconds = max(0.0, ((job.finished_at or clock.now()) - job.started_at).total_seconds())
    return f"{seconds:.1f} s" if job.finished_at and seconds < 10 else duration(int(seconds))


@register.filter
def milliseconds(value: int) -> str:
    return f"{value} ms" if value < 1000 else f"{value / 1000:.1f} s"


def duration(seconds: int) -> str:
    """The largest unit that fits and the one below it: `2 h 5 min`."""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for position, (name, size) in enumerate(units):
        if seconds >= size or name == "s":
            words = [f"{seconds // size} {name}"]
            if position + 1 < len(units) and (rest := seconds % size // units[position + 1][1]):
                words.append(f"{rest} {units[position + 1][0]}")
            return " ".join(words)
    return ""
