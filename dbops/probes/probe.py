"""One probe of one target database -> a typed result."""

import asyncio
from dataclasses import dataclass, field

from dbops.models import Probe
from dbops.postgres.answering import Answer, ask
from dbops.postgres.parameters import Parameters
from dbops.postgres.readiness import Unreachable
from dbops.redaction import Redactor

ANOTHER = (
    "Connecting by the target's settings leads from here to another database ({here}) than from the target "
    "({there}). Nothing else was read there."
)
NOT_TOLD_HERE = (
    "A server answers, but does not tell from here which database it is: our user may not call "
    "pg_control_system() there."
)
NOT_TOLD_THERE = (
    "A server answers, but the target has not told which database it is. It does so with an inspection that "
    "reaches its database."
)
# psycopg's and libpq's words. A name that only a container's network knows says nothing about its server.
NAME_UNKNOWN = ("failed to resolve host", "could not translate host name")


@dataclass(frozen=True)
class Known:
    """A target database as its latest inspection left it."""

    database_id: int
    name: str
    # As the target sees it; "" when it never could tell.
    identity: str
    # None when the sealed settings cannot be read, and why.
    parameters: Parameters | None = field(repr=False)
    trouble: str = ""


@dataclass(frozen=True)
class Result:
    state: str
    reason: str = ""
    detail: str = ""
    latency_ms: int | None = None
    in_recovery: bool | None = None
    server_version: str = ""

    @property
    def answers(self) -> bool:
        return self.state == Probe.State.ANSWERS


async def probe_within(seconds: float, known: Known) -> Result:
    try:
        async with asyncio.timeout(seconds):
            return await probe(known)
    except TimeoutError:
        return Result(
            Probe.State.UNREACHABLE, "timeout", f"The probe did not come to an end in {seconds:g} s."
        )


async def probe(known: Known) -> Result:
    if known.parameters is None:
        return not_here("sealed", known.trouble)
    found = await ask(known.parameters)
    if isinstance(found, Unreachable):
        return unreachable(found, known.parameters)
    return compared(known.identity, found)


def unreachable(found: Unreachable, parameters: Parameters) -> Result:
    """libpq quotes what it was given: a URL with a password where a host should be, for one."""
    detail = Redactor(parameters.secrets).clean(found.detail)
    if found.reason == "settings":
        return not_here("settings", f"The target's settings cannot be used from here: {detail}")
    if any(words in detail.lower() for words in NAME_UNKNOWN):
        return not_here("name_unknown", f"The host name in the target's settings is not known here: {detail}")
    return Result(Probe.State.UNREACHABLE, found.reason, detail)


def compared(identity: str, answer: Answer) -> Result:
    """An answer counts only when it comes from the target's own database; unequal or unknown does not."""
    if not answer.identity:
        return not_here("identity_unknown", NOT_TOLD_HERE)
    if not identity:
        return not_here("identity_unknown", NOT_TOLD_THERE)
    if answer.identity != identity:
        return not_here("another_database", ANOTHER.format(here=answer.identity, there=identity))
    return Result(
        Probe.State.ANSWERS,
        latency_ms=answer.latency_ms,
        in_recovery=answer.in_recovery,
        server_version=answer.server_version,
    )


def not_here(reason: str, detail: str) -> Result:
    return Result(Probe.State.NOT_HERE, reason, detail)
