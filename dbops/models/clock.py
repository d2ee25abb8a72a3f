"""The one clock: that of our database.

Several hosts write moments and compare them; taken from here, none of their clocks has to be right. A query
says `Now()` itself; `now()` is for Python: pages, ages, and moments that are written and used further.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, models

MEASURED_ANEW_S = 30.0
# Between two measurements time passes here, by what nobody sets; on Linux with the time that it slept.
BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class _Measured:
    # The moment, and what had passed by then: one value, since several threads read and write it.
    both = (datetime.min.replace(tzinfo=UTC), float("-inf"))


def passed() -> float:
    """Seconds since some moment of long ago."""
    return time.clock_gettime(BOOT)


def now() -> datetime:
    """What our database's clock shows; it is asked every MEASURED_ANEW_S at most."""
    moment, at = _Measured.both
    if passed() - at > MEASURED_ANEW_S:
        moment, at = measure()
    return moment + timedelta(seconds=passed() - at)


def measure() -> tuple[datetime, float]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        row = cursor.fetchone()
    _Measured.both = measured = row[0], passed()
    return measured


class WrittenAt(models.DateTimeField):  # type: ignore[type-arg]
    """When the row was inserted. In the database it is Django's own `DateTimeField(auto_now_add=True)`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "auto_now_add": True})

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        if add:
            setattr(model_instance, self.attname, now())
        return getattr(model_instance, self.attname)
