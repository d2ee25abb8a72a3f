"""The databases of the example targets: one each, owned by a role of its own that is not opsdash's."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from embedded import databases
from embedded.databases import Connection, Database
from embedded.ports import LOOPBACK
from embedded.postgres import Cluster
from embedded.state import Secrets, State, write_private

# On a server that is not ours the names must not meet those of others.
OWN = "opsdash"
PREFIX_ELSEWHERE = "opsdash_demo_"
LEFT_OUT = "the examples on Postgres are left out, only the SQLite one is registered"

Say = Callable[[str, str], None]


def urls_on_private_server(cluster: Cluster, secrets: Secrets) -> dict[str, str]:
    """URLs by the name of the example, known before the server runs."""
    return {
        name: Database(name, password).url(LOOPBACK, cluster.port) for name, password in secrets.demo.items()
    }


def make_on_private_server(cluster: Cluster, secrets: Secrets, say: Say) -> None:
    """Make what is missing on the private server, opsdash's own database too."""
    examples = [Database(name, password) for name, password in secrets.demo.items()]
    with cluster.connect() as connection:
        missing = databases.missing(connection, [Database(OWN, secrets.opsdash), *examples])
        if missing:
            names = ", ".join(database.name for database in missing)
            say("databases", f"creating {names}, each with a role of its own")
        for database in missing:
            databases.create(connection, database)


def on_existing_server(url: str, secrets: Secrets, say: Say) -> dict[str, str]:
    """The same on the server of DATABASE_URL, if its role may; empty, and a sentence said, if not."""
    server = urlsplit(url)
    host, port = server.hostname or LOOPBACK, server.port or 5432
    examples = {
        name: Database(f"{PREFIX_ELSEWHERE}{name}", password) for name, password in secrets.demo.items()
    }
    urls = {name: database.url(host, port) for name, database in examples.items()}
    try:
        with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
            reason = _make_elsewhere(connection, list(examples.values()), urls)
    except psycopg.Error as error:
        reason = (
            f"the server of DATABASE_URL refused to make their databases ({error.sqlstate or 'no answer'})"
        )
    if reason:
        say("databases", f"{reason}: {LEFT_OUT}")
        return {}
    return urls


def _make_elsewhere(connection: Connection, examples: list[Database], urls: Mapping[str, str]) -> str:
    """The reason why it cannot be, or nothing."""
    missing = databases.missing(connection, examples)
    if missing and not databases.may_create(connection):
        return "the role of DATABASE_URL may not create databases and roles"
    for database in missing:
        databases.create(connection, database)
    strangers = [url for url in urls.values() if not _opens(url)]
    return "the server of DATABASE_URL has databases of these names that are not ours" if strangers else ""


def _opens(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def passwords_file(state: State) -> Path:
    """There only while the examples are being registered."""
    return state.run / "passwords.json"


def variables(state: State, secrets: Secrets, urls: Mapping[str, str]) -> dict[str, str]:
    """What `manage.py setup_demo` reads. The passwords travel in a file that only its owner reads."""
    write_private(passwords_file(state), json.dumps(secrets.people))
    return {
        **{f"OPSDASH_DEMO_{name.upper()}_URL": url for name, url in urls.items()},
        "OPSDASH_DEMO_BLOG_PATH": str(state.demo / "blog.sqlite3"),
        "OPSDASH_DEMO_PASSWORDS": str(passwords_file(state)),
    }
