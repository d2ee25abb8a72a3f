"""Streams of a real web process: who may stay, how many, what each is sent, and how they end."""

import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import F
from django.utils import timezone

from dbops.models import Job
from dbops.redaction import Redactor
from dbops.transcript.live import publish_change
from dbops.transcript.recorder import Recorder
from tests.integration.run.test_viewers_gone import connections_to
from tests.integration.web import Web, sign_in, web, web_process
from tests.integration.worker import children_of, until

pytestmark = pytest.mark.django_db(transaction=True)
MakeJob = Callable[..., Job]
Events = Iterator[tuple[str, Any]]
# More than the buffers of two sockets take.
LINES = 40_000
# An idle stream looks up this often, and rights are read anew as often.
QUICK = {"OPSDASH_STREAM_RECHECK_S": "1", "OPSDASH_STREAM_KEEPALIVE_S": "1"}


@pytest.fixture
def job(make_job: MakeJob) -> Job:
    return make_job(state="running", fence=1)


@pytest.fixture(scope="module")
def process(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """One for all tests that leave it running."""
    with web_process(tmp_path_factory.mktemp("web") / "web.log", port=0, **QUICK) as site:
        yield site
    says_of_no_error(site)


def says_of_no_error(site: Web) -> None:
    told = site.log.read_text()
    assert told.count("Traceback") == told.count("django.core.exceptions.PermissionDenied"), told


@pytest.fixture
def site(people: dict[str, User], process: Web) -> Web:
    """Signed in as the operator."""
    sign_in(process, people["operator"])
    return process


@pytest.fixture
def ending(people: dict[str, User], tmp_path: Path) -> Iterator[Web]:
    """As `site`, of a process that the test stops."""
    with web(tmp_path / "web.log", people["operator"], port=0, **QUICK) as site:
        yield site
    says_of_no_error(site)


def address(job: Job, after: int = 0) -> str:
    return f"{job.get_absolute_url()}stream/?after={after}"


def write(job: Job, *lines: str) -> None:
    job.refresh_from_db()
    recorder = Recorder(job, Redactor(()))
    recorder.feed("".join(f"{line}\n" for line in lines).encode())
    assert recorder.finish()


def change(job: Job, **fields: Any) -> None:
    Job.objects.filter(pk=job.pk).update(version=F("version") + 1, **fields)
    publish_change(job.pk)


def first(events: Events, name: str) -> Any:
    return next(data for kind, data in events if kind == name)


def lines_of(events: Events) -> list[str]:
    return [line for kind, data in events if kind == "lines" for line in data["lines"]]


# Who may stay


def deactivated(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def signed_out(user: User) -> None:
    Session.objects.all().delete()


def session_expired(user: User) -> None:
    Session.objects.update(expire_date=timezone.now())


def password_changed(user: User) -> None:
    user.set_password("another long password")
    user.save()


def without_a_role(user: User) -> None:
    user.groups.clear()


@pytest.mark.parametrize(
    "happens",
    [deactivated, signed_out, session_expired, password_changed, without_a_role],
    ids=lambda f: f.__name__,
)
def test_who_may_not_look_any_more_is_told_so_and_nothing_else(
    site: Web, people: dict[str, User], job: Job, happens: Callable[[User], None]
) -> None:
    with site.stream(address(job)) as events:
        first(events, "fragments")
        happens(people["operator"])
        assert list(events) == [("bye", {"why": "signed out"})]
    status = site.get(address(job), Accept="text/event-stream").status
    assert status == (403 if happens is without_a_role else 401)


def test_who_may_more_or_less_than_before_begins_anew(site: Web, people: dict[str, User], job: Job) -> None:
    with site.stream(address(job)) as events:
        assert "Cancel the job" in first(events, "fragments")["html"]["job_state"]
        people["operator"].groups.set([Group.objects.get(name="viewers")])
        assert first(events, "bye") == {"why": "what you may do is something else now"}
    with site.stream(address(job)) as events:
        assert "Cancel the job" not in first(events, "fragments")["html"]["job_state"]


def test_rights_are_read_for_all_viewers_together(site: Web, people: dict[str, User], job: Job) -> None:
    """Of many people some have to leave; the others do not notice."""
    with ExitStack() as open_streams:
        mine = open_streams.enter_context(site.stream(address(job)))
        cookies = dict(site.cookies)
        sign_in(site, people["viewer"])
        theirs = open_streams.enter_context(site.stream(address(job)))
        site.cookies = cookies
        first(mine, "fragments"), first(theirs, "fragments")
        deactivated(people["viewer"])
        assert first(theirs, "bye") == {"why": "signed out"}
        write(job, "goes on")
        assert first(mine, "lines")["lines"] == ["goes on"]


# How many


def test_a_browser_with_many_tabs_keeps_connections_for_its_pages(
    site: Web, people: dict[str, User], job: Job
) -> None:
    write(job, "one", "two")
    with ExitStack() as open_streams:
        for _ in range(4):
            first(open_streams.enter_context(site.stream(address(job))), "fragments")
        with site.stream(address(job, after=1)) as fifth:
            told = list(fifth)
        assert [kind for kind, _ in told] == ["lines", "tail", "fragments", "bye"]
        assert told[0][1]["lines"] == ["two"]
        assert told[-1][1] == {"why": "many pages of this browser are open", "again_s": 2}
        sign_in(site, people["operator"])
        with site.stream(address(job, after=2)) as another_browser:
            first(another_browser, "fragments")
            write(job, "three")
            assert first(another_browser, "lines")["lines"] == ["three"]


def test_where_one_leaves_another_may_stay(site: Web, job: Job) -> None:
    with ExitStack() as open_streams:
        for _ in range(4):
            first(open_streams.enter_context(site.stream(address(job))), "fragments")
    until(lambda: connections_to(site.port) == 0, "they are gone")
    with site.stream(address(job)) as events:
        first(events, "fragments")
        write(job, "followed")
        assert first(events, "lines")["lines"] == ["followed"]


# What each is sent


def test_a_form_that_came_through_the_stream_can_be_sent(site: Web, job: Job) -> None:
    """Fragments are made once for all; the token in them is each viewer's own."""
    with site.stream(address(job)) as events:
        html = first(events, "fragments")["html"]["job_state"]
        change(job, done_count=1)
        assert "job_state" not in first(events, "fragments")["html"], "what did not change is not sent again"
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', html)
    assert found
    site.token = found[1]
    assert site.post(f"{job.get_absolute_url()}cancellation/").status == 302
    job.refresh_from_db()
    assert job.state == "cancelling"


def test_the_token_is_not_that_of_another_viewer(site: Web, people: dict[str, User], job: Job) -> None:
    tokens = set()
    for _ in range(2):
        sign_in(site, people["operator"])
        with site.stream(address(job)) as events:
            html = first(events, "fragments")["html"]["job_state"]
        tokens |= set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', html))
    assert len(tokens) == 2 and all(len(token) == 64 for token in tokens)


def test_each_role_gets_its_own_fragments(site: Web, people: dict[str, User], job: Job) -> None:
    def state() -> str:
        with site.stream(address(job)) as events:
            return str(first(events, "fragments")["html"]["job_state"])

    assert "Cancel the job" in state()
    sign_in(site, people["viewer"])
    assert "Cancel the job" not in state()


def test_a_stream_ends_with_the_job_and_its_last_line(site: Web, job: Job) -> None:
    with site.stream(address(job)) as events:
        first(events, "fragments")
        write(job, "the last line")
        change(job, state="succeeded", finished_at=timezone.now())
        kinds = [kind for kind, _ in events]
    assert kinds[-1] == "end" and "lines" in kinds and kinds.count("end") == 1


def test_who_comes_back_from_any_line_gets_what_follows_once(site: Web, job: Job) -> None:
    for number in range(0, 3000, 100):
        write(job, *(f"line {one}" for one in range(number + 1, number + 101)))
    change(job, state="failed", finished_at=timezone.now())
    for after in (0, 1, 99, 100, 101, 2500, 2999, 3000, 5000):
        with site.stream(address(job, after)) as events:
            assert lines_of(events) == [f"line {one}" for one in range(after + 1, 3001)]


def test_many_who_come_back_at_once_get_all_and_the_job_goes_on(
    site: Web, people: dict[str, User], job: Job
) -> None:
    for number in range(0, 2000, 50):
        write(job, *(f"line {one} " + "x" * 500 for one in range(number + 1, number + 51)))

    def come_back(after: int, cookies: dict[str, str]) -> list[str]:
        with replace(site, cookies=cookies).stream(address(job, after)) as events:
            return [line.partition(" x")[0] for line in lines_of(events)]

    with ThreadPoolExecutor(40) as several:
        afters = [number % 500 for number in range(40)]
        cookies = [session_of(site, people["operator"]) for _ in afters]
        results = [several.submit(come_back, *each) for each in zip(afters, cookies, strict=True)]
        write(job, "line 2001 x")
        change(job, state="succeeded", finished_at=timezone.now())
        found = [result.result() for result in results]
    whole = [f"line {one}" for one in range(1, 2002)]
    assert found == [whole[after:] for after in afters]


def session_of(site: Web, person: User) -> dict[str, str]:
    """Of a browser of its own."""
    sign_in(site, person)
    return dict(site.cookies)


# Who is slow


def test_one_that_does_not_read_holds_up_nobody_and_misses_nothing(site: Web, job: Job) -> None:
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    slow.connect(("127.0.0.1", site.port))
    slow.sendall(request_for(site, address(job)))
    slow.settimeout(30)
    heard = bytearray(slow.recv(100))
    with site.stream(address(job)) as events:
        first(events, "fragments")
        for number in range(0, LINES, 500):
            write(job, *(f"line {one} " + "y" * 200 for one in range(number + 1, number + 501)))
        quick: list[str] = []
        while len(quick) < LINES:
            quick += first(events, "lines")["lines"]
    assert [line.partition(" y")[0] for line in quick] == [f"line {one}" for one in range(1, LINES + 1)]
    change(job, state="succeeded", finished_at=timezone.now())
    while not heard.endswith(b"\r\n0\r\n\r\n"):
        heard += slow.recv(1_000_000)
    slow.close()
    numbers = [int(number) for number in re.findall(rb"line (\d+) y", heard)]
    assert numbers == list(range(1, LINES + 1))


# What is asked for once


def test_who_asks_once_is_told_what_there_is(site: Web, job: Job) -> None:
    write(job, "one", "two")
    with site.stream(f"{address(job, after=1)}&once=1") as events:
        told = list(events)
    assert [kind for kind, _ in told] == ["lines", "tail", "fragments", "bye"]
    change(job, state="succeeded", finished_at=timezone.now())
    with site.stream(f"{address(job, after=2)}&once=1") as events:
        assert [kind for kind, _ in events] == ["tail", "fragments", "end"]


def test_words_of_a_target_are_never_taken_for_the_place_of_a_token(site: Web, job: Job) -> None:
    change(job, outcome="boom token-of-the-viewer end")
    with site.stream(address(job)) as events:
        assert "boom token-of-the-viewer end" in first(events, "fragments")["html"]["job_state"]


def test_a_download_ends_for_who_may_not_look_any_more(site: Web, people: dict[str, User], job: Job) -> None:
    for number in range(0, LINES, 500):
        write(job, *(f"line {one} " + "y" * 400 for one in range(number + 1, number + 501)))
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow.connect(("127.0.0.1", site.port))
        slow.settimeout(30)
        slow.sendall(request_for(site, f"{job.get_absolute_url()}transcript.txt"))
        heard = bytearray(slow.recv(1000))
        deactivated(people["operator"])
        threading.Event().wait(1.5)
        while not heard.endswith(b"\r\n0\r\n\r\n"):
            heard += slow.recv(1_000_000)
    assert b"opsdash: you may not see this any more; the rest is not in this file.\n" in heard
    assert f"line {LINES} ".encode() not in heard


def request_for(site: Web, path: str) -> bytes:
    cookies = "; ".join(f"{name}={value}" for name, value in site.cookies.items())
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookies}\r\n\r\n".encode()


# How they end


@contextmanager
def stalled_client(site: Web, job: Job) -> Iterator[None]:
    """One that reads nothing of what is written now."""
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        stalled.connect(("127.0.0.1", site.port))
        stalled.sendall(request_for(site, address(job)))
        assert stalled.recv(100)
        for number in range(0, LINES, 500):
            write(job, *(f"line {one} " + "y" * 200 for one in range(number + 1, number + 501)))
        yield


def test_a_client_that_does_not_even_take_the_goodbye_holds_the_process_for_a_moment_only(
    ending: Web, job: Job
) -> None:
    with stalled_client(ending, job):
        ending.process.send_signal(signal.SIGTERM)
        ending.process.wait(10)


@pytest.mark.slow
def test_a_client_that_takes_nothing_is_cut_after_half_a_minute(site: Web, job: Job) -> None:
    with stalled_client(site, job):
        until(lambda: connections_to(site.port) == 0, "it is cut", seconds=60)


def test_a_web_process_that_is_stopped_says_goodbye_to_every_stream(
    ending: Web, people: dict[str, User], job: Job
) -> None:
    with ExitStack() as open_streams:
        streams = []
        for _ in range(20):
            sign_in(ending, people["operator"])
            streams.append(open_streams.enter_context(ending.stream(address(job))))
            first(streams[-1], "fragments")
        ending.process.send_signal(signal.SIGTERM)
        heard = [list(events) for events in streams]
        ending.process.wait(5)
    assert heard == [[("bye", {"why": "opsdash is being restarted"})]] * 20
    assert ending.process.returncode == 0
    assert "Forcing close" not in ending.log.read_text()


def test_an_open_stream_keeps_no_thread_and_no_connection(
    site: Web, people: dict[str, User], job: Job
) -> None:
    (worker,) = children_of(site.process.pid)

    def threads() -> int:
        return len(list(Path(f"/proc/{worker}/task").iterdir()))

    with ExitStack() as open_streams:
        for number in range(30):
            if number % 4 == 0:
                sign_in(site, people["operator"])
            first(open_streams.enter_context(site.stream(address(job))), "fragments")
        # The event loop's own, the readers', the pool's.
        until(lambda: threads() < 15, "no stream has a thread of its own")
        until(lambda: in_use() == 0, "no stream uses a connection")


def in_use() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
        return int(cursor.fetchone()[0])


def test_a_client_that_sends_more_on_its_connection_harms_nothing(site: Web, job: Job) -> None:
    """Bytes behind the request are the next request's; the stream goes on."""
    with socket.create_connection(("127.0.0.1", site.port)) as client:
        client.settimeout(30)
        client.sendall(request_for(site, address(job)))
        heard = b""
        while b"event: fragments" not in heard:
            heard += client.recv(65536)
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        threading.Event().wait(0.2)
        write(job, "still told")
        while b"still told" not in heard:
            heard += client.recv(65536)
