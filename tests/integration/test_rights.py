"""Rights a target: who has them on some targets only sees and does nothing elsewhere, wherever they look.

Two targets lead to the same database: `shop`, which the person has a role on, and `secret`, which not.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from dbops import launch
from dbops.access import Actor, shell_actor
from dbops.execute import why_not_allowed
from dbops.models import AuditEvent, Grant, Job, Target, TargetDatabase, Worker, clock
from dbops.models.status import Status
from dbops.pages.job import job_page
from dbops.rights import ALL, NONE, Rights, Role, rights_now, rights_of
from tests.integration.conftest import PASSWORD, MakeDatabase
from tests.integration.test_doors import EXPECTED

pytestmark = pytest.mark.django_db

IDENTITY = "one and the same"
# What stands on a page only where `secret` shows through.
TRACES = re.compile(r"secret|hush|mallory", re.IGNORECASE)


@pytest.fixture
def ann(db: None) -> User:
    """Nothing, until her group is granted something."""
    user = User.objects.create_user("ann", password=PASSWORD)
    user.groups.add(Group.objects.create(name="team"))
    return user


@pytest.fixture
def shop(make_database: MakeDatabase) -> TargetDatabase:
    return prepared(make_database("shop"))


@pytest.fixture
def secret(make_database: MakeDatabase) -> TargetDatabase:
    database = prepared(make_database("secret"))
    Target.objects.filter(pk=database.target_id).update(label="Hush hush", queue="hush")
    database.target.refresh_from_db()
    return database


def prepared(database: TargetDatabase) -> TargetDatabase:
    database.judge([Status("pending", "1 to apply.")])
    database.pending_count, database.identity, database.inspected_at = 1, IDENTITY, clock.now()
    database.save()
    return database


def grant(user: User, target: Target, role: str) -> None:
    Grant.objects.update_or_create(group=user.groups.get(), target=target, defaults={"role": role})


def job_on(make_job: Callable[..., Job], database: TargetDatabase, **more: Any) -> Job:
    return make_job(database, asked_by_name="mallory", identity=IDENTITY, **more)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


# What somebody has


@pytest.mark.parametrize("word", ["viewer", "operator", "staff"])
def test_a_grant_gives_a_role_on_its_target_and_none_elsewhere(
    ann: User, shop: TargetDatabase, secret: TargetDatabase, word: str
) -> None:
    grant(ann, shop.target, word)
    rights = rights_of(ann)
    assert rights.on(shop.target_id) == rights.highest == Role[word.upper()]
    assert rights.on(secret.target_id) == rights.everywhere == Role.NOBODY
    assert list(rights.targets) == [shop.target] and not rights.sees_all


def test_of_several_grants_the_highest_counts_and_none_lowers_what_is_had_everywhere(
    ann: User, shop: TargetDatabase, secret: TargetDatabase
) -> None:
    grant(ann, shop.target, "viewer")
    other = Group.objects.create(name="others")
    ann.groups.add(other, Group.objects.get(name="viewers"))
    Grant.objects.create(group=other, target=shop.target, role="operator")
    Grant.objects.create(group=other, target=secret.target, role="viewer")
    assert rights_of(ann) == Rights(Role.VIEWER, ((shop.target_id, Role.OPERATOR),))


def test_flags_count_on_every_target_and_a_deactivated_person_has_nothing(
    ann: User, shop: TargetDatabase
) -> None:
    grant(ann, shop.target, "operator")
    ann.is_staff = True
    assert rights_of(ann) == Rights(Role.STAFF)
    ann.is_superuser = True
    assert rights_of(ann) == ALL
    ann.is_active = False
    assert rights_of(ann) == NONE


@pytest.mark.parametrize("rights", [NONE, Rights(Role.NOBODY, ((7, Role.VIEWER),)), Rights(Role.VIEWER), ALL])
@pytest.mark.parametrize("role", list(Role)[1:])
def test_the_rows_of_a_role_are_those_of_the_targets_where_it_is_had(
    make_database: MakeDatabase, rights: Rights, role: Role
) -> None:
    target = make_database().target
    rights = Rights(rights.everywhere, tuple((target.pk, role) for _, role in rights.there))
    found = Target.objects.filter(rights.within("pk", role)).exists()
    assert found == (rights.on(target.pk) >= role)


def test_the_rights_of_many_sessions_are_read_by_three_questions(
    people: dict[str, User], ann: User, shop: TargetDatabase, django_assert_num_queries: Any
) -> None:
    grant(ann, shop.target, "operator")
    clients = {user: signed_in(user) for user in (ann, *people.values())}
    who = {user: (user.pk, client.session.session_key or "") for user, client in clients.items()}
    with django_assert_num_queries(3):
        found = rights_now(list(who.values()))
    assert {user: found[key] for user, key in who.items()} == {user: rights_of(user) for user in who}


def test_the_database_knows_no_other_role_and_one_grant_a_group_and_target(
    ann: User, shop: TargetDatabase
) -> None:
    grant(ann, shop.target, "viewer")
    for role in ("superuser", "viewer"):
        with pytest.raises(IntegrityError), transaction.atomic():
            Grant.objects.create(group=ann.groups.get(), target=shop.target, role=role)


# Doors


@pytest.fixture
def ours(ann: User, shop: TargetDatabase, make_job: Callable[..., Job]) -> Job:
    grant(ann, shop.target, "staff")
    return job_on(make_job, shop, state="cancelled", finished_at=clock.now())


@pytest.fixture
def theirs(secret: TargetDatabase, make_job: Callable[..., Job]) -> Job:
    return job_on(make_job, secret, state="running", started_at=clock.now(), worker="w@hush")


ABOUT_ONE = sorted(name for name, (arguments, _, _) in EXPECTED.items() if arguments.__code__.co_names)


@pytest.mark.parametrize("name", ABOUT_ONE)
def test_what_is_about_an_unseen_target_is_not_there(ann: User, ours: Job, theirs: Job, name: str) -> None:
    """The same answer as to an id or a name that nothing has."""
    arguments, _, method = EXPECTED[name]
    client = signed_in(ann)
    found = getattr(client, method)(reverse(name, args=arguments(theirs)))
    args = [10**9 if isinstance(each, int) else each for each in arguments(theirs)]
    args = ["nothing" if each == "secret" else each for each in args]
    missing = getattr(client, method)(reverse(name, args=args))
    assert found.status_code == missing.status_code == 404
    assert anonymous(found.content) == anonymous(missing.content)


def anonymous(page: bytes) -> str:
    """Without what differs from answer to answer: tokens, the moment, the address."""
    text = re.sub(r"\b[A-Za-z0-9]{64}\b|\d\d:\d\d:\d\d", "", page.decode())
    return re.sub(r"/?(targets|jobs)/[^\"' ]*", "PATH", text)


@pytest.mark.parametrize("name", ABOUT_ONE)
def test_it_is_there_for_a_target_that_is_granted(ann: User, ours: Job, theirs: Job, name: str) -> None:
    arguments, _, method = EXPECTED[name]
    response = getattr(signed_in(ann), method)(reverse(name, args=arguments(ours)))
    if name in ("migration", "record", "invalid_index"):
        assert response.status_code == 404, "there is no such one of this job"
    else:
        assert response.status_code not in (403, 404)


@pytest.mark.parametrize("word", ["viewer", "operator"])
@pytest.mark.parametrize("name", ABOUT_ONE)
def test_a_higher_role_elsewhere_opens_nothing_here(
    ann: User, ours: Job, theirs: Job, name: str, word: str
) -> None:
    """Staff on one target, less on the other."""
    grant(ann, theirs.database.target, word)
    arguments, needed, method = EXPECTED[name]
    response = getattr(signed_in(ann), method)(reverse(name, args=arguments(theirs)))
    response.close()
    assert (response.status_code == 403) == (Role[word.upper()] < needed)
    if response.status_code == 403:
        assert f"This needs the role {needed.word} on secret; ann is {word} on secret." in (
            response.content.decode()
        )


def test_an_act_that_was_refused_there_is_kept_with_its_target(ann: User, ours: Job, theirs: Job) -> None:
    grant(ann, theirs.database.target, "viewer")
    signed_in(ann).post(reverse("cancellation", args=[theirs.pk]))
    event = AuditEvent.objects.get(act="refused")
    assert (event.actor, event.target, event.details["has"]) == ("ann", "secret", "viewer")
    theirs.refresh_from_db()
    assert theirs.state == "running"


# Lists, counts, search


LISTS = [
    "/",
    "/?q=secret",
    "/?status=pending",
    "/jobs/",
    "/jobs/?q=secret",
    "/jobs/?state=active",
    "/workers/",
]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("htmx", [False, True])
def test_no_list_shows_a_trace_of_an_unseen_target(
    ann: User, ours: Job, theirs: Job, path: str, htmx: bool
) -> None:
    running_workers()
    page = signed_in(ann).get(path, headers={"HX-Request": "true"} if htmx else {})
    text = page.content.decode().replace('value="secret"', "").replace("q=secret", "")
    if "/jobs/" in path:
        text = text.replace("mallory", "", 1)
    assert page.status_code == 200 and not TRACES.search(text), TRACES.search(text)


@pytest.mark.parametrize("path", LISTS)
def test_who_sees_all_sees_that_trace(people: dict[str, User], ours: Job, theirs: Job, path: str) -> None:
    """Or the test above could not fail."""
    running_workers()
    page = signed_in(people["viewer"]).get(path).content.decode()
    assert TRACES.search(page.replace('value="secret"', "").replace("q=secret", ""))


def running_workers() -> None:
    for name, queue in (("w@hush", "hush"), ("w@all", "jobs")):
        told = {"kind": "worker", "host": name, "pid": 1, "started_at": clock.now(), "queues": [queue]}
        Worker.objects.tell(name, uuid.uuid4(), first=True, slots=2, busy=1, **told)


def test_the_counts_of_the_overview_are_of_what_is_seen(ann: User, ours: Job, theirs: Job) -> None:
    page = signed_in(ann).get("/").context["page"]
    assert (page.counts.total, page.counts.matching, page.counts.by_state["pending"]) == (1, 1, 1)


def test_a_person_without_any_role_sees_nothing(ann: User, ours: Job) -> None:
    Grant.objects.all().delete()
    assert signed_in(ann).get("/").status_code == 403


@pytest.mark.parametrize("side", ["a", "b"])
def test_an_unseen_target_cannot_be_compared(ann: User, ours: Job, theirs: Job, side: str) -> None:
    sides = {"a": "shop/default", "b": "shop/default", side: "secret/default"}
    client = signed_in(ann)
    page = client.get("/compare/", sides).content.decode()
    assert "There is no database secret/default." in page
    assert "secret/default" not in page.replace("There is no database secret/default.", "").replace(
        'value="secret/default"', ""
    )
    assert client.post("/compare/snapshots/", sides).status_code == 422


def test_to_have_both_schemas_read_needs_the_role_on_both(ann: User, ours: Job, theirs: Job) -> None:
    grant(ann, theirs.database.target, "viewer")
    sides = {"a": "shop/default", "b": "secret/default"}
    client = signed_in(ann)
    assert "Reading them needs the role operator." in client.get("/compare/", sides).content.decode()
    assert client.post("/compare/snapshots/", sides).status_code == 403
    assert not AuditEvent.objects.filter(act="snapshot.ask").exists()


# One database behind two targets


def test_a_job_that_is_in_the_way_is_told_without_its_target(ann: User, ours: Job, theirs: Job) -> None:
    client = signed_in(ann)
    page = client.post(reverse("again", args=[ours.pk]), {"key": uuid.uuid4(), "reason": "", "plan": ""})
    text = page.content.decode()
    assert page.status_code == 409
    assert "A job on another target, which leads to the same database, is running. You may not see" in text
    assert not TRACES.search(text.replace("mallory", "", 1)), "its own job was asked for by mallory"
    assert not re.search(rf"\b{theirs.pk}\b", re.sub(r'value="[^"]*"', "", text))
    refusal = AuditEvent.objects.get(act="job.migrate.refused")
    assert refusal.job_id is None


def test_a_form_whose_key_another_job_has_says_nothing_of_that(ann: User, ours: Job, theirs: Job) -> None:
    page = signed_in(ann).post(
        reverse("again", args=[ours.pk]), {"key": theirs.idempotency_key, "reason": "", "plan": ""}
    )
    assert page.status_code == 409
    assert "This form was already sent for another job. Nothing was started." in page.content.decode()


def test_that_others_worked_on_the_database_since_is_told_without_whose_they_are(
    ann: User, ours: Job, theirs: Job
) -> None:
    Job.objects.filter(pk=ours.pk).update(facts={"examined": [], "invalid_indexes": []}, state="failed")
    client = signed_in(ann)
    again = client.get(reverse("again", args=[ours.pk])).content.decode()
    assert "Other jobs worked on this database since, through targets that lead to it" in again
    page = client.get(reverse("job", args=[ours.pk])).content.decode()
    assert "A job on another target, which leads to the same database, worked there since." in page
    ours.refresh_from_db()
    left = job_page(rights_of(ann), ours).left
    assert left and left.later == theirs and left.later_is_hidden
    left = job_page(ALL, ours).left
    assert left and left.later == theirs and not left.later_is_hidden


# Acts, and when they begin


@pytest.fixture
def operator_of_shop(ann: User, shop: TargetDatabase) -> Actor:
    grant(ann, shop.target, "operator")
    return Actor(ann, "ann", "192.0.2.1", rights_of(ann))


def acts(database: TargetDatabase, job: Job, actor: Actor) -> Iterator[Callable[[], object]]:
    yield lambda: launch.start(database, "migrate", {}, actor, key=uuid.uuid4())
    yield lambda: launch.cancel(job, actor)
    yield lambda: launch.inspect(database.target, actor)
    yield lambda: launch.plan(database, "", "", actor)
    yield lambda: launch.snapshot(database, actor)
    yield lambda: launch.resolve(job, actor, "because")


def test_no_act_is_taken_from_who_lacks_the_role_whichever_door_it_came_through(
    operator_of_shop: Actor, theirs: Job
) -> None:
    for act in acts(theirs.database, theirs, operator_of_shop):
        with pytest.raises(launch.NotAllowedError, match="on secret needs the role .* Nothing was done"):
            act()
    theirs.refresh_from_db()
    assert theirs.state == "running" and Job.objects.count() == 1


def test_an_act_of_staff_is_not_taken_from_an_operator(operator_of_shop: Actor, shop: TargetDatabase) -> None:
    with pytest.raises(launch.NotAllowedError, match="record on shop needs the role staff there"):
        launch.start(shop, "record", {}, operator_of_shop, key=uuid.uuid4())
    assert AuditEvent.objects.get().act == "job.record.refused"


def asked(actor: Actor, database: TargetDatabase) -> Job:
    job = launch.start(database, "migrate", {}, actor, key=uuid.uuid4()).job
    return Job.objects.select_related("database__target", "asked_by").get(pk=job.pk)


def test_a_job_that_waited_does_not_begin_for_who_lost_the_role_meanwhile(
    operator_of_shop: Actor, shop: TargetDatabase
) -> None:
    job = asked(operator_of_shop, shop)
    assert why_not_allowed(job) == ""
    Grant.objects.update(role="viewer")
    assert why_not_allowed(job).startswith(
        "ann, who asked for it, does not have the role operator on shop now."
    )


def test_nor_for_who_was_deactivated_or_is_gone(
    operator_of_shop: Actor, shop: TargetDatabase, ann: User
) -> None:
    job = asked(operator_of_shop, shop)
    User.objects.filter(pk=ann.pk).update(is_active=False)
    job.asked_by.refresh_from_db()  # type: ignore[union-attr]
    assert "Nothing was done." in why_not_allowed(job)
    ann.delete()
    job = Job.objects.get(pk=job.pk)
    assert job.asked_by is None and "Nothing was done." in why_not_allowed(job)


def test_what_was_asked_for_at_the_shell_begins(shop: TargetDatabase) -> None:
    assert why_not_allowed(asked(shell_actor(), shop)) == ""


# The shell, as a user


def shell(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out, stderr=out)
    return out.getvalue()


def test_at_the_shell_a_user_sees_what_that_user_sees(ann: User, ours: Job, theirs: Job) -> None:
    for command in (["jobs"], ["workers", "--json"], ["jobs", "--json"]):
        said = shell_ending(*command, "--as", "ann")
        assert not TRACES.search(said.replace("by mallory", "").replace('"asked_by": "mallory"', "")), said
    with pytest.raises(
        CommandError, match="There is no target secret. Nothing was done. Known targets: shop."
    ):
        shell("status", "secret", "--as", "ann")
    rows = json.loads(shell_ending("status", "--json", "--as", "ann"))
    assert "secret" in shell_ending("status") and "secret" not in json.dumps(rows)


def shell_ending(*words: str) -> str:
    """Whatever its exit code says."""
    out = StringIO()
    with suppress(SystemExit):
        call_command(*words, stdout=out, stderr=out)
    return out.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "secret"],
        ["run_job", "secret", "migrate"],
        ["wait_for_db", "--target", "secret"],
        ["compare", "shop", "secret/default"],
    ],
)
def test_no_command_as_a_user_reaches_an_unseen_target(
    ann: User, ours: Job, theirs: Job, words: list[str]
) -> None:
    with pytest.raises(CommandError, match="There is no (target|database) secret"):
        shell(*words, "--as", "ann")
    with pytest.raises(CommandError, match=f"There is no job {theirs.pk}. Nothing was started."):
        shell("run_job", "--again", str(theirs.pk), "--as", "ann")


@pytest.mark.parametrize(
    "words",
    [
        ["status", "shop", "--inspect"],
        ["run_job", "shop", "migrate"],
        ["run_job", "shop", "makemigrations"],
        ["plan", "shop", "--app", "shop"],
    ],
)
def test_as_a_viewer_the_shell_does_nothing(ann: User, shop: TargetDatabase, words: list[str]) -> None:
    grant(ann, shop.target, "viewer")
    said = shell_ending(*words, "--as", "ann")
    assert "on shop needs the role" in said and "as ann does not have. Nothing was done." in said
    assert not Job.objects.exists()


def test_a_job_that_is_asked_for_as_a_user_is_that_user_s(ann: User, shop: TargetDatabase) -> None:
    grant(ann, shop.target, "operator")
    shell("run_job", "shop", "migrate", "--as", "ann")
    job = Job.objects.get()
    assert job.asked_by == ann and re.fullmatch(r"shell:.+ as ann", job.asked_by_name)


@pytest.mark.parametrize("name", ["nobody-of-that-name", "gone"])
def test_as_who_may_not_sign_in_nothing_is_done(name: str) -> None:
    User.objects.create_user("gone", is_active=False)
    with pytest.raises(CommandError, match=f"There is no user {name} who may sign in. Nothing was done."):
        shell("status", "--as", name)


# Where they are given


def test_a_superuser_grants_on_the_page_of_a_group_and_it_is_kept_who_did(
    people: dict[str, User], ann: User, shop: TargetDatabase
) -> None:
    group = ann.groups.get()
    form = {
        "name": "team",
        "grants-TOTAL_FORMS": "1",
        "grants-INITIAL_FORMS": "0",
        "grants-0-target": str(shop.target_id),
        "grants-0-role": "operator",
    }
    signed_in(people["superuser"]).post(reverse("admin:auth_group_change", args=[group.pk]), form)
    assert rights_of(ann).on(shop.target_id) == Role.OPERATOR
    event = AuditEvent.objects.get(act="group.change")
    assert event.target == "team" and "team is operator on shop" in json.dumps(event.details)


def test_every_question_for_a_grant_has_an_index(ann: User, shop: TargetDatabase) -> None:
    grant(ann, shop.target, "viewer")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT 1 FROM dbops_grant WHERE group_id = 1")
        assert "Index" in str(cursor.fetchall())
