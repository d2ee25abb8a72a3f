"""What an agent says is a target's word: whatever it is, the worker ends its work and every page is there."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dbops.inspection import inspect_now
from dbops.models import Inspection, Target
from dbops.target import door
from tests.integration.conftest import default_of
from tests.strange import paths_of, replaced, values

pytestmark = pytest.mark.django_db(transaction=True)


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        # Each step of making a failure smaller takes as long as the failure.
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture
def answer(blog: Target, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the agent of the example really says."""
    said: list[Mapping[str, Any]] = []
    real = door.call

    def listening(*arguments: Any, **options: Any) -> Mapping[str, Any]:
        said.append(real(*arguments, **options))
        return said[-1]

    monkeypatch.setattr(door, "call", listening)
    inspect_now(blog)
    return copy.deepcopy(dict(said[0]))


@pytest.fixture
def person(people: dict[str, User]) -> Client:
    client = Client(raise_request_exception=True)
    client.force_login(people["superuser"])
    return client


def pages_of(target: Target) -> list[str]:
    database = [target.name, "default"]
    return [
        reverse("overview"),
        target.get_absolute_url(),
        reverse("migrate", args=database),
        reverse("graph", args=database),
        reverse("newest_plan", args=database),
        reverse("makemigrations", args=[target.name]),
        reverse("merge", args=[target.name]),
        reverse("migration", args=[*database, "posts", "0001_initial"]),
        f"{reverse('compare')}?a=blog/default&b=blog/default",
    ]


def survives(blog: Target, person: Client, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    monkeypatch.setattr(door, "call", lambda *_, **__: answer)
    inspection = inspect_now(blog)
    assert inspection.outcome in ("done", "failed")
    assert inspection.outcome == "failed" or Inspection.objects.get(pk=inspection.pk).report
    if default_of(blog).in_settings:
        for path in pages_of(blog):
            response = person.get(path)
            assert response.status_code in (200, 404), path


def said_otherwise(data: st.DataObject, answer: dict[str, Any]) -> dict[str, Any]:
    path = data.draw(st.sampled_from(paths_of(answer)), label="path")
    value = data.draw(st.one_of(st.just(...), values), label="value")
    changed: dict[str, Any] = replaced(answer, path, value)
    return changed


@bounded(20)
@given(data=st.data())
def test_an_inspection_that_is_not_as_it_should_be_breaks_neither_the_worker_nor_a_page(
    blog: Target, person: Client, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], data: st.DataObject
) -> None:
    survives(blog, person, monkeypatch, said_otherwise(data, answer))


@pytest.mark.slow
@pytest.mark.timeout(900)
@bounded(600)
@given(data=st.data())
def test_nor_does_any_of_many(
    blog: Target, person: Client, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], data: st.DataObject
) -> None:
    survives(blog, person, monkeypatch, said_otherwise(data, answer))


@pytest.mark.parametrize("value", [float("nan"), 10**400, -1, "x" * 3000, "\ufffd", None, [], {}, [[[]]]])
@pytest.mark.parametrize("name", ["python", "django", "databases", "disk", "unmade", "packages", "sources"])
def test_an_answer_of_another_kind_is_refused_in_words_or_kept(
    blog: Target, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], name: str, value: Any
) -> None:
    monkeypatch.setattr(door, "call", lambda *_, **__: {**answer, name: value})
    inspection = inspect_now(blog)
    assert inspection.outcome == "done" or inspection.error_type == "ProtocolBroken"
