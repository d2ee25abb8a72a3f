"""Whatever a person sends in any field, address or header is a list's entry or is refused: it starts nothing
else, leads nowhere else and breaks no page."""

import re
import uuid
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from dbops.declare import DeclarationError, declare
from dbops.forms import JobsFilter, MigrateForm, OverviewFilter, PlanForm
from dbops.models import Job, Plan, Target
from dbops.target.address_of import address_of
from dbops.target.errors import UnresolvedEnvironment
from tests.integration.conftest import ALICE, MakeDatabase
from tests.strange import sent, texts

pytestmark = pytest.mark.django_db


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture
def person(people: dict[str, User], make_database: MakeDatabase) -> Client:
    make_database(vendor="postgresql")
    client = Client()
    client.force_login(people["superuser"])
    return client


def asked(person: Client, path: str, data: dict[str, str] | None = None) -> Any:
    response = person.get(path) if data is None else person.post(path, data)
    assert response.status_code < 500, path
    led = response.get("Location", "/")
    # As a browser reads it.
    whole = urlsplit(urljoin("http://testserver/login/", led.replace("\\", "/")))
    assert (whole.scheme, whole.netloc) == ("http", "testserver") and led.isprintable(), led
    assert not set("\r\n\0") & set("".join(f"{name}{value}" for name, value in response.headers.items()))
    return response


ADDRESSES = [
    "/?q={}", "/?sort={}", "/?status={}&environment={}", "/?page={}", "/jobs/?q={}&state={}&page={}",
    "/compare/?a={}&b={}&diff={}", "/targets/{}/", "/targets/shop/databases/{}/migrate/",
    "/targets/shop/databases/{}/graph/?app={}", "/targets/shop/databases/default/graph/?app={}",
    "/targets/shop/databases/default/plan/?page={}&show={}&diff={}",
    "/targets/shop/databases/default/plans/{}/", "/targets/shop/databases/default/migrations/{}/{}/",
    "/jobs/{}/", "/jobs/{id}/lines/?from={}&to={}", "/jobs/{id}/search/?q={}&after={}&case={}",
    "/jobs/{id}/record/?migration={}",
    "/jobs/{id}/invalid-index/?schema={}&index={}", "/jobs/{id}/sessions/{}/termination/", "/login/?next={}",
    "/admin/dbops/target/?q={}", "/admin/dbops/auditevent/?q={}&act={}",
]  # fmt: skip


@bounded(60)
@given(texts=st.lists(sent, min_size=3, max_size=3), address=st.sampled_from(ADDRESSES))
def test_whatever_stands_in_an_address_no_page_breaks(
    person: Client, make_job: Any, texts: list[str], address: str
) -> None:
    job = Job.objects.first() or make_job(
        state="cancelled", finished_at="2026-01-01T00:00:00Z", database=Target.objects.get().databases.get()
    )
    if len(address) + sum(map(len, texts)) > 5_000:
        texts = [text[:1000] for text in texts]
    asked(person, address.replace("{id}", str(job.pk)).format(*(quote(text, safe="") for text in texts)))


ACTS = [
    ("/targets/shop/databases/default/migrate/", ("app", "migration", "plan", "unseen", "reason")),
    ("/targets/shop/databases/default/plans/", ("to",)),
    ("/targets/shop/makemigrations/", ("expected", "reason")),
    ("/compare/snapshots/", ("a", "b")),
    ("/login/?next=/", ("username", "password", "next")),
]


@bounded(40)
@given(values=st.lists(sent, min_size=5, max_size=5), act=st.sampled_from(ACTS))
@example(values=["--settings=x"] * 5, act=ACTS[0])
def test_whatever_is_sent_in_a_form_nothing_is_started_that_is_not_in_a_list(
    person: Client, values: list[str], act: tuple[str, tuple[str, ...]]
) -> None:
    before = Job.objects.count(), Plan.objects.count()
    path, fields = act
    data = {name: value[:5000] for name, value in zip(fields, values, strict=False)}
    response = asked(person, path, {"key": str(uuid.uuid4()), **data})
    chosen = any(data.get(name, "").strip() for name in ("app", "migration", "to"))
    if chosen and not (path.endswith("plans/") and response.status_code == 302):
        assert (Job.objects.count(), Plan.objects.count()) == before


KNOWN = [("shop", "0001_initial"), ("shop", "--settings=x"), ("-c", "0001 a\nb")]


@bounded(150)
@given(app=sent, migration=sent)
def test_a_form_hands_on_what_an_inspection_saw_and_nothing_else(app: str, migration: str) -> None:
    form = MigrateForm({"app": app, "migration": migration, "key": str(uuid.uuid4())}, known=KNOWN)
    if form.is_valid():
        found = form.arguments
        assert "migration" not in found or (found["app"], found["migration"]) in KNOWN
        assert "app" not in found or found["app"] in dict(KNOWN)
    plan = PlanForm({"to": f"{app}.{migration}"}, known={"shop": [("0001_initial", True)]})
    if plan.is_valid():
        assert plan.chosen in {("shop", "0001_initial"), ("shop", "zero"), ("shop", ""), ("", "")}


@bounded(100)
@given(text=sent)
def test_a_filter_is_a_choice_a_number_or_a_short_text(text: str) -> None:
    for form in (OverviewFilter({"sort": text, "status": text, "page": text}), JobsFilter({"state": text})):
        form.is_valid()
        known = {str(value) for field in form.fields.values() for value, _ in getattr(field, "choices", [])}
        for name, value in form.cleaned_data.items():
            assert name == "page" or value in known | {""}


# Declarations: what becomes an argv, an environment, a directory.


@bounded(60)
@given(
    name=texts,
    words=st.one_of(texts, st.lists(texts, max_size=3)),
    variable=texts,
    value=texts,
    folder=texts,
)
def test_a_declaration_becomes_a_list_of_words_or_is_refused(
    name: str, words: Any, variable: str, value: str, folder: str
) -> None:
    declaration = {"python": words, "env": {variable: value}, "working_directory": folder, "queue": folder}
    try:
        target = declare(name, declaration, ALICE).target
    except DeclarationError as refused:
        assert value not in str(refused) or len(value) < 8 or value in name + variable + str(words) + folder
        return
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", target.name)
    try:
        address = address_of(target)
    except UnresolvedEnvironment:
        return
    assert all(isinstance(word, str) and "\0" not in word for word in address.command("pass"))
    assert all(re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII) for key in address.env)
    assert not [item for item in address.env.values() if "\0" in item]
    assert isinstance(words, str) or list(address.argv) == list(words)


@pytest.mark.slow
@bounded(10_000)
@given(app=texts, migration=texts)
def test_ten_thousand_texts_are_no_argument(app: str, migration: str) -> None:
    form = MigrateForm({"app": app, "migration": migration, "key": str(uuid.uuid4())}, known=KNOWN)
    if form.is_valid() and form.arguments:
        assert form.arguments["app"] in dict(KNOWN)
