"""wait_for_db against real servers: one that starts late, a wrong password, a missing database."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.management import CommandError

from dbops.exits import Exit
from dbops.models import Target
from embedded import accounts, databases, ports, postgres
from embedded.processes import Running, stop_all
from tests.integration.conftest import MakeTarget, make_shop
from tests.integration.test_commands import call


def wait_for_own(url: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "wait_for_db", *more],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def changed(**parts: Any) -> str:
    url = urlsplit(os.environ["DATABASE_URL"])
    netloc = (
        f"{url.username}:{parts.get('password', url.password)}@{url.hostname}:{parts.get('port', url.port)}"
    )
    return url._replace(netloc=netloc, path=parts.get("path", url.path)).geturl()


StartIn = Callable[[float], None]


@pytest.fixture
def late_postgres() -> Iterator[tuple[str, StartIn]]:
    """A server of its own that is initialised but does not run yet: its URL, and how to start it later."""
    account = accounts.for_servers(lambda subject, what: None)
    folder = Path(tempfile.mkdtemp(prefix="opsdash-late-"))
    folder.chmod(0o711)
    cluster = postgres.Cluster(
        binaries=postgres.binaries_for(account, folder, lambda subject, what: None),
        data=folder / "postgres",
        port=ports.choose(),
        password="late-password",
        account=account,
        settings=postgres.THROWAWAY,
    )
    postgres.initdb(cluster)
    running: list[Running] = []

    def start() -> None:
        running.append(Running(postgres.program(cluster), folder / "postgres.log"))

    timers: list[threading.Timer] = []

    def start_in(seconds: float) -> None:
        timers.append(threading.Timer(seconds, start))
        timers[0].start()

    url = databases.Database(postgres.SUPERUSER, cluster.password).url(ports.LOOPBACK, cluster.port)
    yield url, start_in
    for timer in timers:
        timer.join()
    stop_all(running, hurry=lambda: True)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_ready_database_ends_the_wait_at_once() -> None:
    result = wait_for_own(os.environ["DATABASE_URL"])
    assert result.returncode == Exit.DONE
    assert result.stdout.startswith("opsdash's database is ready after 0.")


@pytest.mark.parametrize(
    ("parts", "reason"),
    [({"password": "wrong-canary"}, "auth"), ({"path": "/no_such_database"}, "no_such_database")],
)
def test_what_waiting_cannot_heal_ends_at_once_with_its_own_code(parts: dict[str, Any], reason: str) -> None:
    result = wait_for_own(changed(**parts), "--timeout", "30")
    assert result.returncode == Exit.WILL_NOT_HEAL
    assert f"will not become ready by waiting ({reason})" in result.stdout
    assert "wrong-canary" not in result.stdout + result.stderr


def test_a_server_that_never_comes_ends_with_the_code_of_a_time_out() -> None:
    result = wait_for_own(changed(port=1), "--timeout", "1")
    assert result.returncode == Exit.TIMED_OUT
    assert "was not ready within 1 s (refused)" in result.stdout


def test_a_postgres_that_starts_two_seconds_late_is_waited_for(late_postgres: tuple[str, StartIn]) -> None:
    url, start_in = late_postgres
    start_in(2.0)
    result = wait_for_own(url, "--timeout", "60")
    assert result.returncode == Exit.DONE, result.stdout + result.stderr
    assert "is not ready yet (refused)" in result.stdout
    assert "opsdash's database is ready after" in result.stdout


@pytest.mark.django_db
def test_the_database_of_a_target_is_asked_through_its_own_interpreter(shop: Target) -> None:
    code, text = call("wait_for_db", "--target", "shop")
    assert (code, text.startswith("database default of shop is ready after")) == (Exit.DONE, True)


@pytest.mark.django_db
def test_a_target_database_that_does_not_exist_does_not_heal(
    make_target: MakeTarget, postgres_url: str
) -> None:
    make_shop(make_target, postgres_url.rpartition("/")[0] + "/nowhere_to_be_found")
    code, text = call("wait_for_db", "--target", "shop", "--timeout", "30")
    assert code == Exit.WILL_NOT_HEAL and "(no_such_database)" in text


@pytest.mark.django_db
def test_an_alias_that_the_settings_do_not_name_does_not_heal(shop: Target) -> None:
    code, text = call("wait_for_db", "--target", "shop", "--database", "replica")
    assert code == Exit.WILL_NOT_HEAL
    assert "replica" in text


@pytest.mark.django_db
def test_a_broken_target_ends_the_wait_with_its_own_code(make_target: MakeTarget) -> None:
    make_target("gone")
    code, text = call("wait_for_db", "--target", "gone")
    assert code == Exit.BROKEN and "/nowhere/python" in text


# What leads to the target


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], list[str]]:
    """The words of a program that stands where ssh or docker would."""

    def make(script: str) -> list[str]:
        file = tmp_path / "transport"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return [str(file), sys.executable]

    return make


@pytest.mark.django_db
def test_a_transport_that_comes_up_later_is_waited_for(
    make_target: MakeTarget, postgres_url: str, program: Callable[[str], list[str]], tmp_path: Path
) -> None:
    target = make_shop(make_target, postgres_url)
    target.python = program(
        f"if [ ! -e {tmp_path}/up ]; then touch {tmp_path}/up\n"
        "echo 'Error response from daemon: container shop is not running' >&2; exit 1; fi\n"
        'exec "$@"'
    )
    target.save()
    code, text = call("wait_for_db", "--target", "shop", "--timeout", "30")
    assert code == Exit.DONE, text
    assert "is not ready yet (interpreter)" in text and "container shop is not running" in text


@pytest.mark.django_db
def test_a_transport_that_never_answers_takes_no_longer_than_the_limit(
    make_target: MakeTarget, program: Callable[[str], list[str]]
) -> None:
    make_target("shop", python=program("exec cat > /dev/null"))
    began = time.monotonic()
    code, text = call("wait_for_db", "--target", "shop", "--timeout", "2")
    assert code == Exit.TIMED_OUT, text
    assert "was not ready within 2 s (interpreter)" in text
    assert time.monotonic() - began < 10


@pytest.mark.django_db
def test_a_secret_that_cannot_be_unsealed_is_a_sentence(make_target: MakeTarget) -> None:
    target = make_target("shop", python=[sys.executable])
    target.variables.create(name="TOKEN", is_secret=True, sealed="sealed-with-a-key-that-is-gone")
    with pytest.raises(CommandError, match="none of the keys in OPSDASH_SEALING_KEYS sealed it") as refused:
        call("wait_for_db", "--target", "shop")
    assert refused.value.returncode == Exit.ERROR


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_limit_that_is_none_is_a_mistake_of_usage(seconds: str) -> None:
    result = wait_for_own(os.environ["DATABASE_URL"], "--timeout", seconds)
    assert result.returncode == Exit.USAGE
    assert "--timeout" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.django_db
def test_what_a_broken_target_says_is_told_without_its_secrets(
    make_target: MakeTarget, tmp_path: Path
) -> None:
    (tmp_path / "manage.py").write_text(
        "import os\nraise RuntimeError('no way in with ' + os.environ['PIN'])\n"
    )
    target = make_target("gone", python=[sys.executable], working_directory=str(tmp_path))
    pin = target.variables.model(target=target, name="PIN")
    pin.keep("canary-4711", secret=True)
    pin.save()
    code, text = call("wait_for_db", "--target", "gone")
    assert code == Exit.BROKEN and "no way in with" in text
    assert "canary-4711" not in text
