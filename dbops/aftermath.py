"""What a job that did not succeed left behind in the schema: asked of the target's own agent, said in words.

Facts of a job: `examined`, one a migration that was in the middle, and `invalid_indexes` (None: not known),
both as the agent tells them (dbops.agent.examine_verb, dbops.agent.invalid_indexes).
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from dbops import conf
from dbops.finding import Pairs
from dbops.inspection.sessions import session
from dbops.models import Job
from dbops.models.away import is_away
from dbops.models.job import FINAL
from dbops.plain import plain
from dbops.postgres.identity import own_identity
from dbops.redaction import Redactor
from dbops.sealing import CannotUnsealError
from dbops.steps import MIGRATION
from dbops.target import door
from dbops.target.address_of import address_of, secrets_of
from dbops.target.errors import TargetError

logger = logging.getLogger(__name__)

Fact = Mapping[str, Any]

# As many as the agent examines at once.
LIMIT = 20
SHOWN = 3
# Reading the catalog waits for who alters a table; the end of a job does not.
LOCK_TIMEOUT_MS = 2000
# Where starting it again comes to the same end, or to a worse one.
IN_THE_WAY = "See on its page what to do before it is started again."
NAMES = ("app", "name", "schema", "table")
UNKNOWN: dict[str, Any] = {
    "verdict": "unknown", "recorded": None, "recordable": False, "unseen": [], "there": [], "lacking": [],
    "otherwise": [], "invalid": [], "undo": [], "no_undo": "",
}  # fmt: skip


def in_the_middle(job: Job, recorded: Pairs | None, missing: Pairs, *, unheard: bool = False) -> Pairs:
    """The migrations of which it has to be known what is there: those at work when the job ended, those told
    as applied that are not recorded, and `missing`. `unheard`: nobody heard the last of it; the first that is
    not recorded may have begun too."""
    steps = job.steps.filter(kind=MIGRATION).order_by("position").values_list("name", "state")
    known = recorded or []
    begun = [name.split(".", 1) for name, state in steps if state not in ("pending", "skipped")]
    at_work = [name.split(".", 1) for name, state in steps if state in ("running", "failed", "cancelled")]
    told = [pair for pair in begun if pair not in at_work and recorded is not None and pair not in known]
    next_one = [pair for pair in (name.split(".", 1) for name, _ in steps) if pair not in known][:1]
    found = [*at_work, *told, *missing, *(next_one if unheard else [])]
    return [pair for number, pair in enumerate(found) if pair not in found[:number]][:LIMIT]


def behind(job: Job, names: Pairs, unreadable: str = "") -> dict[str, Any]:
    """The facts to keep; {} where nothing was in the middle. `unreadable`: why the database cannot be looked
    at. Whatever goes wrong is said in them; only our own database being away is raised."""
    if not names and job.operation != "drop_index":
        return {}
    if unreadable:
        return not_compared(names, unreadable)
    redactor = Redactor(())
    try:
        redactor = Redactor(secrets_of(job.database.target))
        answer = _ask(job, names)
    except (TargetError, CannotUnsealError) as error:
        return not_compared(names, redactor.clean(str(error)).partition(" Nothing was changed.")[0])
    except Exception as error:
        if is_away(error):
            raise
        logger.exception("job %s: what it left behind: an error of opsdash itself", job.pk)
        return not_compared(names, f"opsdash itself failed ({type(error).__name__})")
    indexes = answer["invalid_indexes"]
    return {
        "examined": [_in_the_open(fact, redactor) for fact in answer["migrations"]],
        "invalid_indexes": None if indexes is None else [_in_the_open(fact, redactor) for fact in indexes],
    }


def _ask(job: Job, names: Pairs) -> Mapping[str, Any]:
    arguments = {
        "alias": job.database.alias,
        "migrations": names,
        "forbidden_identity": own_identity(),
        "expected_identity": job.identity,
        "session": {
            **session(),
            "application_name": "opsdash examination",
            "lock_timeout_ms": LOCK_TIMEOUT_MS,
        },
    }
    timeout_s = conf.knob("INSPECTION_TIMEOUT_S")
    return door.call(address_of(job.database.target), "examine", arguments, timeout_s=timeout_s)


def _in_the_open(fact: Fact, redactor: Redactor) -> dict[str, Any]:
    """Names are left alone: a migration may be called like somebody's password."""

    def clean(value: Any) -> Any:
        if isinstance(value, list):
            return [clean(one) for one in value]
        return redactor.clean(plain(value)) if isinstance(value, str) else value

    return {key: value if key in NAMES else clean(value) for key, value in fact.items()}


def not_compared(names: Pairs, why: str) -> dict[str, Any]:
    found = [{**UNKNOWN, "app": app, "name": name, "why": why.rstrip(".")} for app, name in names]
    return {"examined": found, "invalid_indexes": None}


# In words


def words(job: Job, facts: Fact) -> str:
    """Sentences on each migration that was in the middle; "" where none was."""
    examined = facts.get("examined") or []
    told = [sentence(job, fact) for fact in examined[:SHOWN]]
    more = f"{len(examined) - SHOWN} more were looked at: see below." if len(examined) > SHOWN else ""
    first = IN_THE_WAY if any(map(is_in_the_way, examined)) else ""
    return " ".join(filter(None, [*told, more, first]))


def is_in_the_way(fact: Fact) -> bool:
    if fact["verdict"] == "untouched":
        return bool(fact["recorded"])
    return fact["verdict"] in ("partly", "differs") or (fact["verdict"] == "applied" and not fact["recorded"])


def sentence(job: Job, fact: Fact) -> str:
    lists = [("there", "there"), ("lacking", "lacking"), ("there and INVALID", "invalid")]
    lists.append(("otherwise than expected", "otherwise"))
    told = "; ".join(f"{head}: {few(fact[key])}" for head, key in lists if fact[key])
    if fact["verdict"] in ("partly", "differs"):
        return " ".join(filter(None, [f"{short(job, fact)[:-1]} ({told}).", unseen(fact)]))
    return " ".join(filter(None, [short(job, fact), unseen(fact)]))


def short(job: Job, fact: Fact) -> str:
    """Without the lists of what is there and what is lacking."""
    if fact["verdict"] == "unseen":
        return undone_if(job, fact)
    if fact["verdict"] == "unknown":
        return f"{undone_if(job, fact)} What of it is in the schema was not compared: {fact['why']}."
    return found(fact)


def unseen(fact: Fact) -> str:
    if not fact["unseen"] or fact["verdict"] in ("unseen", "unknown"):
        return ""
    return f"What its {', '.join(fact['unseen'])} did to rows, or elsewhere, cannot be seen."


def undone_if(job: Job, fact: Fact) -> str:
    if not job.database.undoes_schema_changes:
        return (
            f"What {called(fact)} changed of the schema until then stays: {job.database.vendor} does not "
            "undo that. See what of it is there before you start it again."
        )
    return f"What {called(fact)} did until then is undone only if it is atomic and made no COMMIT of its own."


def found(fact: Fact) -> str:
    """One of the verdicts that a comparison gives."""
    name, recorded = called(fact), fact["recorded"]
    if fact["verdict"] == "applied":
        if recorded:
            return f"{name} is recorded, and all that it changes of the schema is there."
        return f"All that {name} changes of the schema is there, but it is not recorded."
    if fact["verdict"] == "untouched":
        if recorded:
            return f"{name} is recorded, but nothing of it is in the schema: that is as before it."
        return f"{name} left nothing behind in the schema: that is as before it."
    if fact["verdict"] == "differs":
        share = "All" if fact["there"] else "Nothing"
        return f"{share} of {name} is in the schema, but its tables differ from what is recorded."
    return f"{name} is{' recorded, and' if recorded else ''} in the schema in part."


def few(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more


def called(fact: Fact) -> str:
    return f"{fact['app']}.{fact['name']}"


# What may be done about it


def examined_of(job: Job, app: str, name: str) -> Fact | None:
    """What was found of this migration, if it was examined after this job."""
    examined = job.facts.get("examined") or []
    return next((fact for fact in examined if (fact["app"], fact["name"]) == (app, name)), None)


def why_not_record(job: Job, fact: Fact) -> str:
    """ "" where it may be asked for; its schema is compared again before anything is recorded."""
    if job.state not in FINAL:
        return "the job has not ended"
    if fact["recordable"]:
        return ""
    if fact["verdict"] == "applied":
        if fact["recorded"]:
            return "it is recorded"
        return "not all that it does can be seen in the schema" if fact["unseen"] else "it stands for others"
    return "it is not proven that all of it is there"


def invalid_index_of(job: Job, schema: str, name: str) -> Fact | None:
    """What was found of this index, if it was found invalid after this job."""
    indexes = job.facts.get("invalid_indexes") or []
    return next((fact for fact in indexes if (fact["schema"], fact["name"]) == (schema, name)), None)


def why_not_drop(job: Job, index: Fact) -> str:
    """ "" where it may be asked for; it is looked at again before it is dropped."""
    if job.state not in FINAL:
        return "the job has not ended"
    if index["constraint"]:
        return f"the constraint {index['constraint']} uses it"
    if index["partitioned"]:
        return "it belongs to a partitioned table"
    if index["building"]:
        return "somebody held a lock on its table when the job ended, and may have been building it"
    return ""
