"""The Postgres and the Redis of one start: private ones, or those of DATABASE_URL and REDIS_URL."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from embedded import accounts, databases, demo, leftovers, ports, postgres, redis_server
from embedded.accounts import Account
from embedded.postgres import Cluster
from embedded.processes import Running
from embedded.redis_server import Redis
from embedded.screen import say
from embedded.state import Secrets, State, make_directory, read_ports, write_private
from embedded.supervisor import Supervisor


@dataclass(frozen=True)
class Wishes:
    """What the person asked for, from the environment of `make run`."""

    port: int
    database_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, environ: Mapping[str, str], default_port: str) -> "Wishes":
        return cls(
            port=ports.parse_port(environ.get("PORT") or default_port),
            database_url=environ.get("DATABASE_URL") or None,
            redis_url=environ.get("REDIS_URL") or None,
        )


@dataclass(frozen=True)
class Servers:
    """Where the servers are or will be; `cluster` and `redis` only where they are private."""

    cluster: Cluster | None
    redis: Redis | None
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    demo_urls: Mapping[str, str] = field(repr=False)


def plan(place: State, wishes: Wishes, secrets: Secrets) -> Servers:
    """Choose ports and binaries; make the examples' databases on a server that exists. Starts nothing."""
    if wishes.database_url and wishes.redis_url:
        cluster, redis = None, None
    else:
        account = accounts.for_servers(say)
        numbers = _choose_ports(place)
        cluster = None if wishes.database_url else _cluster(place, account, numbers["postgres"], secrets)
        redis = None if wishes.redis_url else _redis(place, account, numbers["redis"], secrets)
    return Servers(
        cluster=cluster,
        redis=redis,
        database_url=wishes.database_url or _own_url(cluster, secrets),
        redis_url=wishes.redis_url or _redis_url(redis),
        demo_urls=_demo_urls(cluster, wishes, secrets),
    )


def _choose_ports(place: State) -> dict[str, int]:
    """Those of the last start while they are free: a bookmark or a psql history stays good."""
    kept = read_ports(place)
    of_postgres = ports.choose(kept.get("postgres"))
    numbers = {"postgres": of_postgres, "redis": ports.choose(kept.get("redis"), apart_from=of_postgres)}
    if numbers != kept:
        write_private(place.ports, json.dumps(numbers))
    return numbers


def _cluster(place: State, account: Account | None, port: int, secrets: Secrets) -> Cluster:
    binaries = postgres.binaries_for(account, place.root, say)
    return Cluster(binaries, place.postgres, port, secrets.postgres, account)


def _redis(place: State, account: Account | None, port: int, secrets: Secrets) -> Redis:
    binary = redis_server.binary_for(account, place.root, say)
    return Redis(binary, place.redis, port, secrets.redis, account)


def _own_url(cluster: Cluster | None, secrets: Secrets) -> str:
    assert cluster is not None
    return databases.Database(demo.OWN, secrets.opsdash).url(ports.LOOPBACK, cluster.port)


def _redis_url(redis: Redis | None) -> str:
    assert redis is not None
    return redis.url


def _demo_urls(cluster: Cluster | None, wishes: Wishes, secrets: Secrets) -> dict[str, str]:
    if cluster is not None:
        return demo.urls_on_private_server(cluster, secrets)
    assert wishes.database_url is not None
    return demo.on_existing_server(wishes.database_url, secrets, say)


def start(place: State, servers: Servers, secrets: Secrets, supervisor: Supervisor) -> None:
    """Start the private ones, side by side, and return when both are ready."""
    redis_process = _start_redis(servers.redis, supervisor) if servers.redis else None
    if servers.cluster:
        _start_postgres(servers.cluster, secrets, supervisor)
    if servers.redis and redis_process:
        redis_server.wait_until_ready(redis_process, servers.redis, supervisor.pauses())


def _start_redis(redis: Redis, supervisor: Supervisor) -> Running:
    make_directory(redis.directory, 0o700, _owner(redis.account))
    say("Redis", f"starting on {ports.LOOPBACK}:{redis.port}{_as_whom(redis.account)}")
    return supervisor.keep(redis_server.program(redis))


def _start_postgres(cluster: Cluster, secrets: Secrets, supervisor: Supervisor) -> None:
    if cluster.data.exists():
        postgres.require_same_major(cluster)
        leftovers.clear_stale_pid_file(cluster.data, say)
    else:
        say("Postgres", f"creating its data directory {cluster.data}")
        postgres.initdb(cluster)
    say(
        "Postgres",
        f"starting version {postgres.version()} on {ports.LOOPBACK}:{cluster.port}"
        f"{_as_whom(cluster.account)}",
    )
    server = supervisor.keep(postgres.program(cluster))
    postgres.wait_until_ready(server, cluster, supervisor.pauses())
    demo.make_on_private_server(cluster, secrets, say)


def _owner(account: Account | None) -> tuple[int, int] | None:
    return (account.uid, account.gid) if account else None


def _as_whom(account: Account | None) -> str:
    return f" as the system user {account.name}" if account else ""
