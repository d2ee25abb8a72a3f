"""The private Postgres and Redis: real ones, each in a folder of the test, as root or not."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from embedded import accounts, databases, demo, leftovers, ports, postgres, redis_server, testing
from embedded.accounts import Account
from embedded.databases import Database
from embedded.errors import MachineError, ServerError
from embedded.postgres import Cluster
from embedded.processes import Running, polling, stop_all
from embedded.redis_server import Redis
from embedded.state import Secrets, make_directory, new_secrets
from tests.integration.run_help import alive, command_line, wait_for


def quiet(subject: str, what: str) -> None:
    return None


@dataclass
class Bench:
    """A folder that the servers' user can reach, and what was started in it."""

    folder: Path
    binaries: Path
    account: Account | None
    secrets: Secrets
    running: list[Running]

    def cluster(self) -> Cluster:
        binaries = postgres.binaries_for(self.account, self.binaries, quiet)
        data = self.folder / "postgres"
        return Cluster(
            binaries, data, ports.choose(), self.secrets.postgres, self.account, postgres.THROWAWAY
        )

    def start_postgres(self, cluster: Cluster) -> Running:
        server = Running(postgres.program(cluster), self.folder / "postgres.log")
        self.running.append(server)
        postgres.wait_until_ready(server, cluster, polling())
        return server

    def redis(self) -> Redis:
        directory = self.folder / "redis"
        make_directory(directory, 0o700, (self.account.uid, self.account.gid) if self.account else None)
        binary = redis_server.binary_for(self.account, self.binaries, quiet)
        return Redis(binary, directory, ports.choose(), self.secrets.redis, self.account)

    def start_redis(self, redis: Redis) -> Running:
        server = Running(redis_server.program(redis), self.folder / "redis.log")
        self.running.append(server)
        redis_server.wait_until_ready(server, redis, polling())
        return server


@pytest.fixture(scope="module")
def binaries() -> Iterator[Path]:
    """Where those are that root copies."""
    yield from temporary_folder()


@pytest.fixture
def folder() -> Iterator[Path]:
    yield from temporary_folder()


def temporary_folder() -> Iterator[Path]:
    """Unlike those of pytest, one that the servers' user can pass."""
    folder = Path(tempfile.mkdtemp(prefix="opsdash-bench-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def bench(folder: Path, binaries: Path) -> Iterator[Bench]:
    made = Bench(folder, binaries, accounts.for_servers(quiet), new_secrets(), [])
    yield made
    stop_all(made.running)


@pytest.fixture
def cluster(bench: Bench) -> Cluster:
    """A made one that does not run yet."""
    made = bench.cluster()
    postgres.initdb(made)
    return made


def setting(cluster: Cluster, name: str) -> object:
    with cluster.connect() as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row
    return row[0]


def test_it_is_utf8_in_the_locale_of_postgres_itself_and_syncs(bench: Bench, cluster: Cluster) -> None:
    lasting = replace(cluster, settings={})
    bench.start_postgres(lasting)
    assert {name: setting(lasting, name) for name in ("server_encoding", "fsync", "max_connections")} == {
        "server_encoding": "UTF8",
        "fsync": "on",
        "max_connections": "100",
    }
    with lasting.connect() as connection:
        row = connection.execute(
            "SELECT datlocprovider, datlocale, datcollate FROM pg_database WHERE datname = 'template1'"
        ).fetchone()
    assert row == ("b", "C.UTF-8", "C")


def test_only_a_password_over_loopback_opens_it(bench: Bench, cluster: Cluster) -> None:
    bench.start_postgres(cluster)
    assert setting(cluster, "listen_addresses") == "127.0.0.1"
    assert setting(cluster, "unix_socket_directories") == ""
    with cluster.connect() as connection:
        methods = connection.execute(
            "SELECT DISTINCT type, address, auth_method FROM pg_hba_file_rules"
        ).fetchall()
    assert methods == [("host", "127.0.0.1", "scram-sha-256")]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        replace(cluster, password="wrong").connect()


def test_no_file_and_no_argv_keeps_the_password(bench: Bench, cluster: Cluster) -> None:
    server = bench.start_postgres(cluster)
    redis = bench.redis()
    redis_process = bench.start_redis(redis)
    lines = command_line(server.pid) + command_line(redis_process.pid)
    found = subprocess.run(
        ["grep", "-rlF", "-e", bench.secrets.postgres, "-e", bench.secrets.redis, str(bench.folder)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert bench.secrets.postgres not in lines
    assert bench.secrets.redis not in lines
    assert found.stdout == ""


def test_each_database_is_open_to_its_own_role_only(bench: Bench, cluster: Cluster) -> None:
    bench.start_postgres(cluster)
    demo.make_on_private_server(cluster, bench.secrets, quiet)
    demo.make_on_private_server(cluster, bench.secrets, lambda subject, what: pytest.fail(what))
    shops = demo.urls_on_private_server(cluster, bench.secrets)
    own = Database("opsdash", bench.secrets.opsdash).url("127.0.0.1", cluster.port)
    for url in (own, *shops.values()):
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE mine ()")
            rights = connection.execute(
                "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
        assert rights == (False, False, False)
    for name in ("opsdash", "shop_production"):
        with pytest.raises(psycopg.OperationalError, match=f'permission denied for database "{name}"'):
            psycopg.connect(shops["shop_staging"].rpartition("/")[0] + f"/{name}")


def test_the_server_never_sees_a_password_in_sql(bench: Bench, cluster: Cluster) -> None:
    told = replace(cluster, settings={**cluster.settings, "log_statement": "all"})
    bench.start_postgres(told)
    demo.make_on_private_server(told, bench.secrets, quiet)
    log = (bench.folder / "postgres.log").read_text()
    assert "CREATE DATABASE" in log
    passwords = [bench.secrets.opsdash, *bench.secrets.demo.values()]
    assert [password for password in passwords if password in log] == []


def test_an_interrupted_making_is_begun_again(bench: Bench) -> None:
    made = bench.cluster()
    draft = made.data.with_name("postgres.new")
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    postgres.initdb(made)
    assert not draft.exists()
    bench.start_postgres(made)


def test_it_starts_again_after_a_kill(bench: Bench, cluster: Cluster) -> None:
    server = bench.start_postgres(cluster)
    with cluster.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        connection.execute("CHECKPOINT")
    os.kill(server.pid, signal.SIGKILL)
    assert wait_for(lambda: server.ended, 10)
    server.finish()
    leftovers.clear_stale_pid_file(cluster.data, quiet)
    bench.start_postgres(cluster)
    with cluster.connect() as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_it_starts_although_a_stranger_has_the_number_of_its_last_life(
    bench: Bench, cluster: Cluster
) -> None:
    """As after a reboot, when the number belongs to another program of the same user."""
    account = bench.account
    stranger = subprocess.Popen(["sleep", "60"], user=account.uid if account else None)
    try:
        pid_file = cluster.data / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{cluster.data}\n1\n{cluster.port}\n\n127.0.0.1\n\n")
        if account:
            os.chown(pid_file, account.uid, account.gid)
        with pytest.raises(ServerError, match="Postgres ended with status 1 while starting") as refused:
            bench.start_postgres(cluster)
        assert 'lock file "postmaster.pid" already exists' in refused.value.details
        leftovers.clear_stale_pid_file(cluster.data, quiet)
        bench.start_postgres(cluster)
    finally:
        stranger.kill()
        stranger.wait()


def test_a_postgres_that_cannot_start_shows_its_last_words(bench: Bench, cluster: Cluster) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", cluster.port))
        listener.listen()
        with pytest.raises(ServerError, match="Postgres ended with status 1 while starting") as refused:
            bench.start_postgres(cluster)
    assert "Address already in use" in refused.value.details


def test_a_redis_that_cannot_start_shows_its_last_words(bench: Bench) -> None:
    redis = bench.redis()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", redis.port))
        listener.listen()
        with pytest.raises(ServerError, match="Redis ended with status 1 while starting") as refused:
            bench.start_redis(redis)
    assert "Address already in use" in refused.value.details


def test_a_password_that_is_not_that_of_the_data_is_a_sentence(bench: Bench, cluster: Cluster) -> None:
    with pytest.raises(ServerError, match="does not know the password kept beside it"):
        bench.start_postgres(replace(cluster, password="another"))


def test_data_of_another_major_version_are_refused(cluster: Cluster) -> None:
    postgres.require_same_major(cluster)
    (cluster.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(MachineError, match="was written by Postgres 17 and the installed wheel is 18"):
        postgres.require_same_major(cluster)


def test_redis_needs_its_password_keeps_its_data_and_drops_nothing(bench: Bench) -> None:
    redis = bench.redis()
    server = bench.start_redis(redis)
    assert _ask(redis, "PING").startswith("-NOAUTH")
    login = f"AUTH {redis.password}\r\n"
    assert "noeviction" in _ask(redis, f"{login}CONFIG GET maxmemory-policy")
    assert _ask(redis, f"{login}SET kept 42").endswith("+OK\r\n")
    assert stop_all([server]) == []
    bench.start_redis(redis)
    assert _ask(redis, f"{login}GET kept").endswith("$2\r\n42\r\n")


def _ask(redis: Redis, words: str) -> str:
    with socket.create_connection(("127.0.0.1", redis.port), timeout=5) as connection:
        connection.sendall(f"{words}\r\nQUIT\r\n".encode())
        with connection.makefile("rb") as answer:
            return answer.read().decode().removesuffix("+OK\r\n") if "NOAUTH" not in words else ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs them as somebody else")
def test_as_root_both_run_as_a_user_without_rights(bench: Bench, cluster: Cluster) -> None:
    for server in (bench.start_postgres(cluster), bench.start_redis(bench.redis())):
        status = Path(f"/proc/{server.pid}/status").read_text()
        assert Path(f"/proc/{server.pid}").owner() == "opsdash"
        assert "Groups:\t \n" in status
        assert "CapEff:\t0000000000000000\n" in status


def test_examples_go_to_a_server_that_lets_us_make_them(bench: Bench, cluster: Cluster) -> None:
    bench.start_postgres(cluster)
    maker = Database("maker", "secret")
    with cluster.connect() as connection:
        databases.create(connection, maker)
        connection.execute("ALTER ROLE maker CREATEDB CREATEROLE")
    url = maker.url("127.0.0.1", cluster.port)
    urls = demo.on_existing_server(url, bench.secrets, lambda subject, what: pytest.fail(what))
    assert set(urls) == {"shop_staging", "shop_production"}
    for one in urls.values():
        with psycopg.connect(one) as connection:
            connection.execute("CREATE TABLE mine ()")
    again = demo.on_existing_server(url, bench.secrets, lambda subject, what: pytest.fail(what))
    assert again == urls


@pytest.mark.parametrize(
    ("rights", "reason"),
    [
        ("CREATEDB NOCREATEROLE", "may not create databases and roles"),
        ("NOCREATEDB", "may not create databases"),
    ],
)
def test_examples_are_left_out_where_they_may_not_be_made(
    bench: Bench, cluster: Cluster, rights: str, reason: str
) -> None:
    bench.start_postgres(cluster)
    maker = Database("maker", "secret")
    with cluster.connect() as connection:
        databases.create(connection, maker)
        connection.execute(f"ALTER ROLE maker {rights}".encode())
    told: list[str] = []
    url = maker.url("127.0.0.1", cluster.port)
    assert demo.on_existing_server(url, bench.secrets, lambda subject, what: told.append(what)) == {}
    assert reason in told[0]
    assert told[0].endswith("the examples on Postgres are left out, only the SQLite one is registered")


def test_databases_of_strangers_are_not_taken_for_ours(bench: Bench, cluster: Cluster) -> None:
    bench.start_postgres(cluster)
    with cluster.connect() as connection:
        for name in bench.secrets.demo:
            databases.create(connection, Database(f"opsdash_demo_{name}", "of a stranger"))
    told: list[str] = []
    url = Database(postgres.SUPERUSER, bench.secrets.postgres).url("127.0.0.1", cluster.port)
    assert demo.on_existing_server(url, bench.secrets, lambda subject, what: told.append(what)) == {}
    assert "has databases of these names that are not ours" in told[0]


def test_services_are_thrown_away_afterwards() -> None:
    with testing.services() as started:
        with psycopg.connect(started.database_url) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("off",)
        with psycopg.connect(started.database_url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE another")
        folder = started.folder
        processes = [pid for pid in map(int, _numbers()) if str(folder) in command_line(pid)]
        assert len(processes) >= 2 or os.geteuid() != 0
        assert "opsdash-tests" not in repr(started.secrets)
    assert not folder.exists()
    assert not any(alive(pid) for pid in processes)


def _numbers() -> list[str]:
    return [process.name for process in Path("/proc").glob("[0-9]*")]
