"""Whether a target can be refreshed from here: its files as they were inspected, its database the same
one."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from dbops.inspection import sqlite_rows
from dbops.inspection.base import Alias, Base
from dbops.inspection.declared import digest_of
from dbops.inspection.fresh import Row
from dbops.inspection.packages import Look
from dbops.models import Target, TargetDatabase
from dbops.postgres.parameters import Parameters, parameters
from dbops.postgres.readiness import Unreachable
from dbops.postgres.records import Records, records
from dbops.sealing import CannotUnsealError, unseal
from dbops.target.address import Address
from dbops.target.revision import has_file_reach, revision_of

AT_ONCE = 8
# As a session in the server's list.
APPLICATION_NAME = "opsdash refresh"


@dataclass(frozen=True)
class Refused:
    """`why` in words. `changed`: what held at the inspection holds no more, so that the agent is asked."""

    why: str
    changed: bool = False


@dataclass(frozen=True)
class Read:
    """What is recorded now. `missing`: a SQLite file that is not there (yet)."""

    rows: list[Row]
    missing: bool = False


@dataclass
class Question:
    """One database to be read; `answer` is put in. `unexplained`: it came out that others are pending now."""

    database: TargetDatabase
    alias: Alias
    answer: Read | Refused = field(default_factory=lambda: Refused("it was not read"))
    unexplained: bool = False


def files_refused(target: Target, base: Base | None, look: Look) -> Refused | None:
    """Why the files of a target cannot be counted on; None when they are as they were inspected."""
    if base is None:
        return Refused("its latest inspection failed")
    if base.refused:
        return Refused(base.refused)
    address = address_of(target)
    if not has_file_reach(address):
        return Refused("its files are not seen from here")
    if digest_of(target) != base.declared:
        return Refused("it is declared otherwise than when it was inspected", changed=True)
    if revision_of(address) != base.revision:
        return Refused("another revision is checked out", changed=True)
    if not look.are_same(base.settings_files):
        return Refused("files of its settings have changed", changed=True)
    if not look.is_same(base.packages):
        return Refused("files of its migrations have changed", changed=True)
    return None


def address_of(target: Target) -> Address:
    """As far as it tells where the files are; nothing is started by it."""
    return Address(
        name=target.name,
        argv=tuple(target.python),
        through_shell=target.through_shell,
        cwd=target.working_directory,
    )


def read_all(questions: Iterable[Question]) -> None:
    """Put an answer to each; nothing is raised."""
    asked = list(questions)
    for question in asked:
        if question.alias.refused:
            question.answer = Refused(question.alias.refused)
        elif question.alias.vendor == "sqlite":
            question.answer = _of_file(question)
    servers = [one for one in asked if one.alias.vendor == "postgresql" and not one.alias.refused]
    if servers:
        asyncio.run(_of_servers(servers))


def _of_file(question: Question) -> Read | Refused:
    try:
        there, rows = sqlite_rows.rows_of(question.alias.identity)
    except sqlite_rows.UnreadableFile as problem:
        return Refused(f"its file cannot be read from here: {problem}", changed=True)
    return Read(list(rows), missing=not there)


async def _of_servers(questions: list[Question]) -> None:
    """Those that lead to one database by the same settings are answered by one look."""
    alike: dict[tuple[str, str], list[Question]] = defaultdict(list)
    for question in questions:
        try:
            given = unseal(question.database.sealed_connection)
        except CannotUnsealError as error:
            question.answer = Refused(str(error))
            continue
        alike[given, question.alias.identity].append(question)
    slots = asyncio.Semaphore(AT_ONCE)
    silent: set[tuple[str, str]] = set()
    async with asyncio.TaskGroup() as tasks:
        for (given, identity), same in alike.items():
            tasks.create_task(_of_server(given, identity, same, slots, silent))


async def _of_server(
    connection: str,
    identity: str,
    questions: list[Question],
    slots: asyncio.Semaphore,
    silent: set[tuple[str, str]],
) -> None:
    told = await _told(connection, identity, slots, silent)
    for question in questions:
        question.answer = told if isinstance(told, Refused) else judged(told, question.alias)


async def _told(
    connection: str, identity: str, slots: asyncio.Semaphore, silent: set[tuple[str, str]]
) -> Records | Unreachable | Refused:
    """`connection`: JSON, as the agent told it."""
    try:
        given = parameters(json.loads(connection))
    except ValueError as error:
        return Refused(str(error))
    server = (given.get("host", ""), given.get("port", ""))
    async with slots:
        if server in silent:
            # One that is silent would be waited for once a database.
            return Refused("its server is silent", changed=True)
        told = await records(Parameters({**given, "application_name": APPLICATION_NAME}), identity)
    if isinstance(told, Unreachable) and told.reason == "timeout":
        silent.add(server)
    return told


def judged(told: Records | Unreachable, alias: Alias) -> Read | Refused:
    """It counts only when it comes from the target's own database, read as the target reads it."""
    if isinstance(told, Unreachable):
        return Refused(f"its server does not tell it here ({told.reason})", changed=True)
    if told.identity != alias.identity:
        return Refused("from here its settings lead to another database", changed=True)
    if told.in_recovery:
        return Refused("from here its settings lead to a standby, which may lag", changed=True)
    if not told.read_only or told.rows is None:
        return Refused("the server did not confirm a read-only session", changed=True)
    if (told.user, told.schema) != (alias.user, alias.schema):
        return Refused("from here it is read with another role or schema", changed=True)
    return Read(list(told.rows))
