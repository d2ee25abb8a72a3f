"""opsdash's own rows for the prober: which databases there are, and the latest result of each."""

import json
from dataclasses import asdict
from datetime import timedelta

from django.db import connection, transaction

from dbops.models import Probe, TargetDatabase, clock
from dbops.postgres.identity import own_identity
from dbops.postgres.parameters import parameters
from dbops.probes.probe import Known, Result
from dbops.sealing import CannotUnsealError, unseal


def load() -> list[Known]:
    """Every Postgres database whose connection settings an inspection brought, opsdash's own left out."""
    # Renewed each time: nothing outside of a request closes a connection that grew old.
    connection.close()
    databases = (
        TargetDatabase.objects.filter(in_settings=True, vendor="postgresql")
        .exclude(sealed_connection="")
        .exclude(identity=own_identity())
        .select_related("target")
    )
    return [known(database) for database in databases]


def known(database: TargetDatabase) -> Known:
    try:
        settings = json.loads(unseal(database.sealed_connection))
    except CannotUnsealError as error:
        return Known(database.pk, str(database), database.identity, None, str(error))
    return Known(database.pk, str(database), database.identity, parameters(settings))


@transaction.atomic
def keep(database_id: int, result: Result, pause_s: float) -> None:
    """Put the result in the place of the one before; it stays in force until the next is due. A database
    that was removed while it was probed has no place any more."""
    if not TargetDatabase.objects.select_for_update(no_key=True).filter(pk=database_id).exists():
        return
    now = clock.now()
    before = Probe.objects.filter(database_id=database_id, state=result.state).values_list("since", flat=True)
    row = Probe(
        database_id=database_id,
        **asdict(result),
        probed_at=now,
        since=before.first() or now,
        next_at=now + timedelta(seconds=pause_s),
    )
    columns = [field.name for field in Probe._meta.concrete_fields if field.name not in {"id", "database"}]
    Probe.objects.bulk_create([row], update_conflicts=True, unique_fields=["database"], update_fields=columns)


def close() -> None:
    connection.close()
