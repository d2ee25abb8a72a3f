"""Which database this really is, whatever address led to it."""

from functools import cache

from django.db import connection

# pg_control_system() is readable by everybody (PostgreSQL manual, 9.28.11); the system identifier is made by
# initdb and differs between clusters, the oid between databases of one.
IDENTITY = """
SELECT system_identifier::text, (SELECT oid::text FROM pg_database WHERE datname = current_database())
FROM pg_control_system()
"""


@cache
def own_identity() -> str:
    """The identity of opsdash's own database, in the form that the agent reports: no target may be there."""
    with connection.cursor() as cursor:
        cursor.execute(IDENTITY)
        system, oid = cursor.fetchone()
    return written(system, oid)


def written(system: str, oid: str) -> str:
    """In the form that the agent reports."""
    return f"postgres:{system}:{oid}"
