"""Django's cache, as rows of our database: the counters of failed sign-ins hold for all web processes, and
whether Redis answers or not.

Django's own database cache keeps pickles, which run code when they are read: whoever can write to our
database could run code in the web process. These are JSON.
"""

import json
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection
from django.db.models.functions import Now

from dbops.models import Counter

# Who never expires is not kept.
LONGEST_S = 86_400.0
SET = """
    INSERT INTO dbops_counter (key, value, expires_at)
    VALUES (%s, %s, STATEMENT_TIMESTAMP() + %s * interval '1 second')
    ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, expires_at = EXCLUDED.expires_at
"""
ADD = f"{SET} WHERE dbops_counter.expires_at <= STATEMENT_TIMESTAMP()"


class Counters(BaseCache):
    """The part of a cache that counting needs."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        found = Counter.objects.filter(pk=self.make_and_validate_key(key, version), expires_at__gt=Now())
        return next(iter(found.values_list("value", flat=True)), default)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._write(SET, key, value, timeout, version)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Of those who come at once, one has added it."""
        return self._write(ADD, key, value, timeout, version) == 1

    def delete(self, key: Any, version: int | None = None) -> bool:
        return Counter.objects.filter(pk=self.make_and_validate_key(key, version)).delete()[0] > 0

    def clear(self) -> None:
        Counter.objects.all().delete()

    def _write(self, statement: str, key: Any, value: Any, timeout: Any, version: int | None) -> int:
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        lives_s = LONGEST_S if seconds is None else float(seconds)
        with connection.cursor() as cursor:
            told = (self.make_and_validate_key(key, version), json.dumps(value), lives_s)
            cursor.execute(statement, told)
            return int(cursor.rowcount)


def sweep() -> None:
    Counter.objects.filter(expires_at__lte=Now()).delete()
