"""docker/own-role.sql: a role for opsdash that cannot switch off what keeps its audit trail."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from dbops.models import AuditEvent
from tests.integration.conftest import ALICE
from tests.integration.test_bad_migrations import as_superuser

pytestmark = pytest.mark.django_db(transaction=True)
CREATE, GRANTS = (Path(settings.BASE_DIR) / "docker" / "own-role.sql").read_text().split(";\n", 1)


@pytest.fixture
def app() -> Iterator[psycopg.Connection[Any]]:
    own = connection.settings_dict
    server = {"host": own["HOST"], "port": own["PORT"], "dbname": own["NAME"]}
    url = f"postgres://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}/{own['NAME']}"
    as_superuser(url, CREATE.replace(":'password'", "'pw-of-app'"))
    try:
        with connection.cursor() as cursor:
            cursor.execute(GRANTS)
        with psycopg.connect(**server, user="opsdash_app", password="pw-of-app", autocommit=True) as app:
            yield app
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM opsdash_app")
            cursor.execute(
                "ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM opsdash_app"
            )
        as_superuser(url, "DROP OWNED BY opsdash_app")
        as_superuser(url, "DROP ROLE opsdash_app")


def test_it_works_as_opsdash_does_and_leaves_the_audit_trail_alone(app: psycopg.Connection[Any]) -> None:
    AuditEvent.objects.record("target.inspect", ALICE)
    app.execute(
        "INSERT INTO dbops_auditevent (at, actor, act, outcome, target, address, reason, details) "
        "VALUES (now(), 'bob', 'job.migrate', 'done', '', '', '', '{}')"
    )
    app.execute("UPDATE dbops_job SET state = state")
    app.execute("DELETE FROM django_session")
    refused = [
        "UPDATE dbops_auditevent SET actor = 'x'",
        "DELETE FROM dbops_auditevent",
        "TRUNCATE dbops_auditevent",
        "ALTER TABLE dbops_auditevent DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_is_append_only ON dbops_auditevent",
        "DROP TABLE dbops_auditevent",
        "CREATE OR REPLACE FUNCTION dbops_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN RETURN NEW; END $$",
        "SET session_replication_role = replica",
        "UPDATE django_migrations SET name = name",
        "CREATE TABLE public.mine (id int)",
    ]
    for statement in refused:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(statement)
    assert AuditEvent.objects.count() == 2
