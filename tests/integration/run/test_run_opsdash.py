"""`make run` itself, in copies of this checkout: a real start, real signals, real kills."""

import http.client
import os
import re
import signal
import socket
import stat
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import psycopg
import pytest

from embedded.databases import Database
from embedded.state import PEOPLE, SYSTEM_WIDE
from tests.integration import run_help
from tests.integration.run_help import Checkout, Run, alive, command_line, listening, wait_for

AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can become another user or mount a small disk")
LOOPBACK = "0100007F"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    yield from copied(tmp_path_factory)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One that runs all the time, in a checkout of its own, for tests that only look."""
    for checkout in copied(tmp_path_factory):
        run = run_help.start(checkout).wait_until_ready()
        yield run
        run.end_anyhow()


def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    one = run_help.copy_checkout(tmp_path_factory.mktemp("run") / "opsdash")
    yield one
    assert one.clean().returncode == 0
    assert not one.place.root.exists()


@pytest.fixture
def running(checkout: Checkout) -> Iterator[Run]:
    """One to be killed."""
    run = run_help.start(checkout).wait_until_ready()
    yield run
    run.end_anyhow()


def status_of(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def log_in(port: int, name: str, password: str) -> str:
    """The address of the page that follows a login."""
    page = f"http://127.0.0.1:{port}"
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with browser.open(page) as form:
        address, text = form.geturl(), form.read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', text)
    assert token, text
    fields = {"username": name, "password": password, "csrfmiddlewaretoken": token.group(1)}
    request = urllib.request.Request(address, urllib.parse.urlencode(fields).encode(), {"Origin": page})
    with browser.open(request) as answer:
        return str(answer.geturl())


def own_url(checkout: Checkout) -> str:
    return Database("opsdash", checkout.secrets().opsdash).url("127.0.0.1", checkout.ports()["postgres"])


def test_it_serves_and_its_logins_work(served: Run) -> None:
    assert status_of(served.port, "/livez") == 200
    for name in PEOPLE:
        password = re.search(rf"^  (?:Logins   |         ) {name} +(\S+)$", served.said(), re.MULTILINE)
        assert password
        assert log_in(served.port, name, password.group(1)) == f"http://127.0.0.1:{served.port}/"
        assert "/login" in log_in(served.port, name, "wrong")


def test_it_says_where_everything_is(served: Run) -> None:
    place = served.checkout.place
    assert f"  Address   http://127.0.0.1:{served.port}/\n" in served.said()
    assert f"  State     {place.root}\n" in served.said()
    assert f"  Logs      {place.logs}\n" in served.said()
    names = {"web", "jobs", "inspect", "beat", "prober", "postgres", "redis", "prepare"}
    assert {log.stem for log in place.logs.glob("*.log")} == names


def test_a_command_of_manage_py_finds_the_opsdash_that_runs(served: Run) -> None:
    done = served.checkout.run(served.checkout.python, "-m", "embedded", "manage", "status", "blog")
    assert done.stdout.startswith("blog")
    assert done.returncode in (3, 11), "the exit code is the command's own"


def test_a_command_of_manage_py_without_a_running_opsdash_says_so(checkout: Checkout) -> None:
    done = checkout.run(checkout.python, "-m", "embedded", "manage", "status")
    assert done.returncode == 1
    assert "opsdash does not run here: start it with `make run`" in done.stdout


def test_only_loopback_is_listened_on(served: Run) -> None:
    numbers = {served.port, *served.checkout.ports().values()}
    addresses = listening(served.all())
    assert {address.partition(":")[0] for address in addresses} == {LOOPBACK}
    assert {int(address.partition(":")[2], 16) for address in addresses} == numbers


def test_no_secret_is_in_a_command_line_or_in_a_log(served: Run) -> None:
    secrets = served.checkout.secrets()
    hidden = [secrets.postgres, secrets.opsdash, secrets.redis, secrets.secret_key, secrets.sealing_key]
    hidden += [*secrets.demo.values(), *secrets.people.values()]
    lines = "\n".join(command_line(pid) for pid in served.all() | {served.process.pid})
    logs = "\n".join(log.read_text() for log in served.checkout.place.logs.glob("*"))
    assert "gunicorn" in lines
    assert [secret for secret in hidden if secret in lines or secret in logs] == []


def test_ctrl_c_ends_everything_and_data_survive_to_the_next_start(checkout: Checkout) -> None:
    first = run_help.start(checkout).wait_until_ready()
    with psycopg.connect(own_url(checkout)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    processes = first.all()
    assert len(processes) > 8
    assert first.stop(signal.SIGINT) == 0
    assert [command_line(pid) for pid in processes if alive(pid)] == []
    assert f"opsdash has stopped. Its data stay in {checkout.place.root}" in first.said()
    assert "had to be killed" not in first.said()

    second = run_help.start(checkout).wait_until_ready()
    with psycopg.connect(own_url(checkout)) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert [line for line in second.output if "viewer " in line] == [
        line for line in first.output if "viewer " in line
    ]
    assert second.stop(signal.SIGTERM) == 0


def test_a_second_start_takes_less_than_five_seconds(checkout: Checkout) -> None:
    seconds = []
    for _ in range(3):  # one of them, since a test machine has more to do
        run = run_help.start(checkout).wait_until_ready()
        seconds.append(run.seconds())
        assert run.stop() == 0
        if seconds[-1] < 5:
            break
    assert min(seconds) < 5


def test_what_is_killed_is_started_again(running: Run) -> None:
    os.kill(running.process_of("gunicorn"), signal.SIGKILL)
    assert wait_for(lambda: "web        ended by SIGKILL; it is started again in 1 s." in running.said(), 10)
    assert wait_for(lambda: listening(running.all()) and _serves(running.port), 20)


def _serves(port: int) -> bool:
    try:
        return status_of(port, "/livez") == 200
    except OSError:
        return False


@pytest.mark.parametrize("killed", ["supervisor", "keeper"])
def test_nothing_is_left_when_one_of_the_two_is_killed(running: Run, killed: str) -> None:
    processes = running.all() | {running.process.pid}
    os.kill(running.supervisor if killed == "supervisor" else running.keeper, signal.SIGKILL)
    running.process.wait(60)
    assert wait_for(lambda: not any(alive(pid) for pid in processes), 40)
    again = run_help.start(running.checkout).wait_until_ready()
    assert "ending what an interrupted start left" not in again.said()
    assert again.stop() == 0


def test_what_is_left_when_both_are_killed_is_ended_by_the_next_start(running: Run) -> None:
    processes = running.all()
    supervisor = running.supervisor
    os.kill(running.keeper, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    os.kill(running.keeper, signal.SIGKILL)
    running.process.wait(60)
    assert any(alive(pid) for pid in processes)
    again = run_help.start(running.checkout).wait_until_ready()
    assert "ending what an interrupted start left running: redis, postgres" in again.said()
    assert wait_for(lambda: not any(alive(pid) for pid in processes), 20)
    assert again.stop() == 0


def test_a_taken_port_is_one_sentence_and_nothing_is_started(checkout: Checkout) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        holder = f"process {os.getpid()} ({Path('/proc/self/comm').read_text().strip()})"
        assert checkout.refused(PORT=str(port)) == (
            f"opsdash: Port {port} is taken by {holder}: nothing was started. "
            f"Choose another one, as in `make run PORT={port + 1}`.\n"
        )


def test_the_same_checkout_is_not_started_twice(served: Run) -> None:
    sentence = r"opsdash: opsdash already runs from this checkout \(process \d+\): [^\n]+\n"
    assert re.fullmatch(sentence, served.checkout.refused())
    assert served.checkout.clean().returncode == 1
    assert status_of(served.port, "/livez") == 200


def test_two_checkouts_run_side_by_side(served: Run, tmp_path: Path) -> None:
    other = run_help.copy_checkout(tmp_path / "opsdash")
    second = run_help.start(other).wait_until_ready()
    try:
        assert {status_of(run.port, "/livez") for run in (served, second)} == {200}
        assert served.checkout.place != other.place
        assert set(served.checkout.ports().values()).isdisjoint(other.ports().values())
        assert second.stop() == 0
        assert status_of(served.port, "/livez") == 200
    finally:
        second.end_anyhow()
        other.clean()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_make_run_works_from_any_folder_and_ends_with_ctrl_c(
    checkout: Checkout, number: signal.Signals
) -> None:
    run = run_help.start(
        checkout, "make", "--no-print-directory", "-C", str(checkout.path), "run"
    ).wait_until_ready()
    processes = run.all()
    os.killpg(run.process.pid, number)  # as a terminal does
    run.process.wait(60)
    assert wait_for(lambda: not any(alive(pid) for pid in processes), 20)
    assert "opsdash has stopped." in run.said()


def test_ctrl_c_while_it_starts_leaves_nothing(checkout: Checkout) -> None:
    run = run_help.start(checkout)
    assert wait_for(lambda: "starting" in run.said(), 30)
    processes = run.all()
    assert run.stop() == 0
    assert not any(alive(pid) for pid in processes)
    assert "opsdash is ready" not in run.said()


def owners(folders: list[Path]) -> dict[Path, tuple[int, int, int]]:
    found = {folder: folder.stat() for folder in folders}
    return {folder: (stat.S_IMODE(one.st_mode), one.st_uid, one.st_gid) for folder, one in found.items()}


@needs_root
def test_root_changes_the_owner_and_mode_of_nothing_else(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    checkout = run_help.copy_checkout(closed / "opsdash")
    packages = Path(sys.prefix) / "lib"
    watched = [*checkout.path.parents, *packages.rglob("*"), *packages.parents, SYSTEM_WIDE.parent]
    before = owners(watched)
    run = run_help.start(checkout).wait_until_ready()
    try:
        running_as = {Path(f"/proc/{pid}").owner() for pid in run.all() if "postgres" in command_line(pid)}
        assert running_as == {"opsdash"}
        assert run.stop() == 0
        assert owners(watched) == before
        assert not (checkout.path / ".state").exists()
        assert {path.owner() for path in checkout.place.root.iterdir()} == {"root", "opsdash"}
    finally:
        run.end_anyhow()
        checkout.clean()
    assert owners([folder for folder in watched if folder.exists()]) == before


@needs_root
def test_an_ordinary_user_runs_it_below_a_home_of_mode_0700(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    checkout = run_help.copy_checkout(home / "opsdash", run_help.PERSON)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(folder.stat().st_mode | 0o011)  # the way to the home, which pytest closes
    home.chmod(0o700)
    before = set(SYSTEM_WIDE.iterdir()) if SYSTEM_WIDE.exists() else set()
    run = run_help.start(checkout).wait_until_ready()
    try:
        assert status_of(run.port, "/livez") == 200
        assert {Path(f"/proc/{pid}").owner() for pid in run.all()} == {run_help.PERSON}
        assert checkout.place.root == checkout.path / ".state"
        assert f"  State     {checkout.path}/.state\n" in run.said()
        assert run.stop() == 0
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert (set(SYSTEM_WIDE.iterdir()) if SYSTEM_WIDE.exists() else set()) == before
    finally:
        run.end_anyhow()
    assert checkout.clean().returncode == 0
    assert not checkout.place.root.exists()


@needs_root
@pytest.mark.parametrize("size", ["1m", "20m", "60m"])
def test_a_full_disk_is_one_sentence(tmp_path: Path, size: str) -> None:
    checkout = run_help.copy_checkout(tmp_path / "opsdash")
    place = checkout.place.root
    place.mkdir(parents=True, mode=0o711)
    mounted = checkout.run("mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", str(place))
    if mounted.returncode:
        place.rmdir()
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stdout.strip()}")
    try:
        run = run_help.start(checkout)
        assert run.process.wait(60) == 1
        sentence = re.compile(
            r"^opsdash: [^\n]*the disk [^\n]*is full[^\n]*\.$", re.MULTILINE | re.IGNORECASE
        )
        assert wait_for(lambda: sentence.search(run.said()), 5), run.said()
        assert "Traceback" not in run.said()
    finally:
        checkout.run("umount", str(place))
        place.rmdir()


def test_existing_servers_are_used_instead(checkout: Checkout) -> None:
    """With the tests' own servers, whose role may create databases but no roles."""
    superuser = os.environ["TEST_POSTGRES_SUPERUSER_URL"]
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE DATABASE run_elsewhere OWNER opsdash")
    url = os.environ["DATABASE_URL"].rpartition("/")[0] + "/run_elsewhere"
    run = run_help.start(checkout, DATABASE_URL=url, REDIS_URL=os.environ["REDIS_URL"]).wait_until_ready()
    try:
        lines = [command_line(pid) for pid in run.all()]
        assert not [line for line in lines if "redis-server" in line or "bin/postgres" in line]
        assert "may not create databases and roles: the examples on Postgres are left out" in run.said()
        with psycopg.connect(url) as connection:
            names = connection.execute("SELECT name FROM dbops_target").fetchall()
        assert names == [("blog",)]
        assert run.stop() == 0
    finally:
        run.end_anyhow()
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute("DROP DATABASE run_elsewhere WITH (FORCE)")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PORT": "80a"}, "PORT=80a is not a port: "),
        ({"DATABASE_URL": "mysql://u:hidden@h/d"}, "DATABASE_URL is not of the form postgres://USER"),
        (
            {"DATABASE_URL": "postgres://u:hid/den@127.0.0.1:1/d"},
            "DATABASE_URL is not of the form postgres://USER",
        ),
        (
            {"DATABASE_URL": "postgres://u:hidden@127.0.0.1:1/d"},
            "The Postgres of DATABASE_URL does not let us in: Connection refused. Nothing was started.",
        ),
        ({"REDIS_URL": "http://:hidden@127.0.0.1"}, "REDIS_URL is not of the form redis://"),
        (
            {"REDIS_URL": "redis://:hidden@127.0.0.1:1/0"},
            "The Redis of REDIS_URL cannot be reached. Nothing was",
        ),
        ({"REDIS_URL": "redis://:hid/den@127.0.0.1:1/0"}, "REDIS_URL is not of the form redis://"),
    ],
)
def test_a_wrong_wish_is_one_sentence_without_the_password(
    checkout: Checkout, variables: dict[str, str], sentence: str
) -> None:
    said = checkout.refused(**variables)
    assert said.startswith(f"opsdash: {sentence}")
    assert said.count("\n") == 1
    assert "hid" not in said


def test_a_refused_password_is_a_sentence(checkout: Checkout) -> None:
    postgres, redis = (
        re.sub(r":[^:@]+@", ":wrong@", os.environ[name]) for name in ("DATABASE_URL", "REDIS_URL")
    )
    fatal = 'FATAL:  password authentication failed for user "opsdash". Nothing was started.'
    assert fatal in checkout.refused(DATABASE_URL=postgres)
    assert "The Redis of REDIS_URL refuses the password in it. Nothing" in checkout.refused(REDIS_URL=redis)
