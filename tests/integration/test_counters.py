"""The cache that counts failed sign-ins: JSON in rows, and one of those who come at once adds."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.models import F

from dbops.models import Counter
from dbops.signing import counters

pytestmark = pytest.mark.django_db


def expire() -> None:
    Counter.objects.update(expires_at=F("expires_at") - timedelta(days=2))


@pytest.mark.parametrize("value", [1, "x", True, [1.5, 2.25], {"a": None}])
def test_what_was_set_is_got_until_it_expires(value: Any) -> None:
    cache.set("key", value, timeout=60)
    assert cache.get("key") == value and cache.get("other", "default") == "default"
    expire()
    assert cache.get("key") is None


def test_it_is_added_once_until_it_expires_or_is_deleted() -> None:
    assert cache.add("key", 1, timeout=60) and not cache.add("key", 2, timeout=60)
    assert cache.get("key") == 1
    expire()
    assert cache.add("key", 3, timeout=60) and cache.get("key") == 3
    assert cache.delete("key") and not cache.delete("key")
    assert cache.add("key", 4, timeout=None)


def test_nothing_but_json_is_kept() -> None:
    with pytest.raises(TypeError):
        cache.set("key", object())


def test_what_has_expired_is_swept_and_the_rest_stays() -> None:
    cache.set("old", 1, timeout=60)
    expire()
    cache.set("new", 1, timeout=60)
    counters.sweep()
    assert [row.key for row in Counter.objects.all()] == [":1:new"]


@pytest.mark.django_db(transaction=True)
def test_of_many_who_add_at_once_one_has_added_it() -> None:
    barrier, added = threading.Barrier(8), []

    def add() -> None:
        barrier.wait()
        added.append(cache.add("key", 1, timeout=60))
        connection.close()

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [False] * 7 + [True]
