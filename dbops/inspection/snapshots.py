"""Schemas as they are kept to be compared: read by the agent from the states of what is applied, when
somebody asks. Nothing here changes anything."""

import logging
from collections.abc import Mapping
from typing import Any

from django.db.models.functions import Now

from dbops import conf
from dbops.inspection import shape
from dbops.inspection.open_plan import plan_in_the_open
from dbops.inspection.sessions import session
from dbops.models import Snapshot, TargetDatabase, clock
from dbops.models.away import is_away
from dbops.postgres.identity import own_identity
from dbops.redaction import Redactor
from dbops.sealing import CannotUnsealError
from dbops.target import door
from dbops.target.address_of import address_of, secrets_of
from dbops.target.errors import TargetError

logger = logging.getLogger(__name__)
MARGIN_S = 30
KEPT = 5


def take_snapshot(snapshot_id: int) -> None:
    """Read one schema through the target's own Django; what goes wrong there is kept as a failure."""
    snapshot = Snapshot.objects.claim(snapshot_id)
    if snapshot is None:
        return
    redactor = Redactor(())
    try:
        started = clock.now()
        redactor = Redactor(secrets_of(snapshot.database.target))
        answer = _ask(snapshot.database)
        lacking = plan_in_the_open({"lacking": answer.get("not_in_schema") or []}, redactor)["lacking"]
        Snapshot.objects.end(
            snapshot,
            "done",
            read_at=started,
            identity=str(answer.get("identity") or "")[:1000],
            content=plan_in_the_open({"schema": answer["schema"]}, redactor)["schema"],
            lacking=lacking,
        )
    except TargetError as error:
        _fail(snapshot, error, str(error), redactor.clean(error.traceback or error.output), redactor)
    except CannotUnsealError as error:
        _fail(snapshot, error, str(error), "", redactor)
    except Exception as error:
        if is_away(error):
            raise
        logger.exception("snapshot %s: an error of opsdash itself", snapshot.pk)
        _fail(snapshot, error, _ours(error), "", redactor)
    _thin(snapshot.database)


def _ask(database: TargetDatabase) -> Mapping[str, Any]:
    arguments = {
        "alias": database.alias,
        "app": "",
        "migration": "",
        "session": {**session(), "application_name": "opsdash compare"},
        "forbidden_identity": own_identity(),
        # The SQL of what is to apply is not wanted.
        "budget_s": 0.0,
        "schema": True,
    }
    timeout_s = conf.knob("INSPECTION_TIMEOUT_S")
    answer = door.call(address_of(database.target), "plan", arguments, timeout_s=timeout_s)
    shape.insist(database.target.name, answer, shape.snapshot)
    return answer


def _fail(snapshot: Snapshot, error: Exception, sentence: str, traceback: str, redactor: Redactor) -> None:
    Snapshot.objects.end(
        snapshot,
        "failed",
        error_type=type(error).__name__,
        error_sentence=redactor.clean(sentence),
        error_traceback=traceback,
    )


def _ours(error: Exception) -> str:
    return (
        f"opsdash itself failed to read the schema ({type(error).__name__}). Nothing was changed. "
        "The worker's log has the details."
    )


def give_up_hanging() -> int:
    """Those whose worker vanished; a target is stopped long before."""
    limit = conf.knob("INSPECTION_TIMEOUT_S") + MARGIN_S
    return Snapshot.objects.hanging(limit).update(
        state="failed",
        finished_at=Now(),
        error_type="WorkerLost",
        error_sentence="The worker that read it vanished. Nothing was changed. Ask for it again.",
    )


def _thin(database: TargetDatabase) -> None:
    """The oldest go; never the latest that was read."""
    mine = Snapshot.objects.filter(database=database)
    kept = {
        *mine.values_list("pk", flat=True)[:KEPT],
        *mine.filter(state="done").values_list("pk", flat=True)[:1],
    }
    mine.filter(state__in=["done", "failed"]).exclude(pk__in=kept).delete()
