"""What the target may not do to its database, and on Postgres the statement that would let it.

A lack is a dict of texts: `lack` (see below), role, schema, search_path, object, owner, statement; "" where
it does not apply. Names are quoted as SQL wants them, the statement is complete.

| lack | means |
|---|---|
| create | the role may not create tables in the schema where Django would |
| usage | it may not use that schema at all |
| schema | no schema of its search_path exists |
| path | its search_path is empty |
| owner | `object` belongs to `owner`, not to the role |
| access | the role may not read or write `object`, which belongs to `owner` |
| file | SQLite: `object`, the file or the directory around it, may not be written (see sqlite) |
| other | something else was denied |
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import databases, failures, sqlite

if TYPE_CHECKING:
    from typing import Any

# https://www.postgresql.org/docs/current/ddl-schemas.html#DDL-SCHEMAS-PRIV: since 15, nobody but the owner of
# a database may create in its schema public. current_schema() is NULL where the search_path names no schema
# that is there and may be used.
HERE_SQL = """
SELECT current_user::text, quote_ident(current_user), quote_ident(current_schema()),
       current_setting('search_path'), has_schema_privilege(current_schema()::text, 'CREATE')
"""
SCHEMAS_SQL = "SELECT nspname::text, quote_ident(nspname) FROM pg_namespace WHERE nspname::text = ANY(%s)"
OBJECT_SQL = """
SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                      WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
       format('%%I.%%I', n.nspname, c.relname), quote_ident(pg_get_userbyid(c.relowner))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname = %s AND c.relkind IN ('r', 'p', 'S', 'v', 'm', 'f')
 ORDER BY n.nspname = current_schema() DESC NULLS LAST, pg_table_is_visible(c.oid) DESC
 LIMIT 1
"""
# A name of the search_path, as it stands there.
NAME = re.compile(r'"((?:[^"]|"")*)"|([^",\s]+)')
# insufficient_privilege and invalid_schema_name: https://www.postgresql.org/docs/current/errcodes-appendix.html
NO_RIGHT, NO_SCHEMA = "42501", "3F000"
DENIED_OBJECT = re.compile(
    r"(permission denied for|must be owner of) (?:table|relation|sequence|view|materialized view) (\S.*)"
)
# As the server says it in English, German, French, Spanish.
DENIED_SCHEMA = re.compile(
    r"(?:permission denied for schema|keine Berechtigung für Schema|droit refusé pour le schéma"
    r"|permiso denegado al esquema) (\S.*)"
)
BLANK = {
    "lack": "other", "role": "", "schema": "", "search_path": "", "object": "", "owner": "", "statement": "",
}  # fmt: skip


def lacking(connection: Any) -> dict[str, str] | None:
    """What keeps the target from creating tables, or None."""
    if connection.vendor == "sqlite":
        return sqlite.lacking(connection.settings_dict["NAME"])
    if connection.vendor != "postgresql":
        return None
    here = rows(connection, HERE_SQL)
    if not here or here[0][-1]:
        return None
    user, role, schema, search_path, _ = here[0]
    facts = {**BLANK, "role": role, "search_path": search_path}
    if schema is None:
        return {**facts, **no_schema(connection, user, role, search_path)}
    statement = f"GRANT CREATE ON SCHEMA {schema} TO {role};"
    return {**facts, "lack": "create", "schema": schema, "statement": statement}


def no_schema(connection: Any, user: str, role: str, search_path: str) -> dict[str, str]:
    names = [user if name == "$user" else name for name in names_of(search_path)]
    there = dict(rows(connection, SCHEMAS_SQL, [names])) if names else {}
    found = next((there[name] for name in names if name in there), "")
    if found:
        statement = f"GRANT USAGE, CREATE ON SCHEMA {found} TO {role};"
        return {"lack": "usage", "schema": found, "statement": statement}
    if not names:
        return {"lack": "path", "statement": f'ALTER ROLE {role} SET search_path = "$user", public;'}
    # Its own name stands there by default; a schema that was named on purpose comes before it.
    wanted = next((name for name in names if name != user), user)
    schema = quoted(connection, wanted)
    return {
        "lack": "schema",
        "schema": schema,
        "statement": f"CREATE SCHEMA {schema} AUTHORIZATION {role};",
    }


def names_of(search_path: str) -> list[str]:
    found = [
        quoted.replace('""', '"') if quoted or not plain else plain.lower()
        for quoted, plain in NAME.findall(search_path)
    ]
    return [name for name in found if name]


def denied(connection: Any, problem: BaseException) -> dict[str, str] | None:
    """Why the server refused that, or None when it did for another reason. `connection` is a usable one.

    A cause is named where the server's words do: the lack of another right may have nothing to do with it.
    """
    refusal = failures.from_server(problem)
    state = refusal and failures.code_of(refusal)
    if connection.vendor != "postgresql" or refusal is None or state not in (NO_RIGHT, NO_SCHEMA):
        return None
    if state == NO_SCHEMA:
        lack = lacking(connection)
        return lack if lack and lack["lack"] != "create" else None
    here = rows(connection, HERE_SQL)
    role = here[0][1] if here else ""
    text = failures.words(refusal)
    if any(map(failures.is_schema_missing, failures.chain(problem))):
        found = lacking(connection)
    else:
        found = denied_object(connection, role, text) or denied_schema(connection, text)
    return found or ({**BLANK, "role": role} if role else None)


def denied_object(connection: Any, role: str, text: str) -> dict[str, str] | None:
    found = DENIED_OBJECT.search(text)
    objects = rows(connection, OBJECT_SQL, [found.group(2)]) if found else []
    return of_object(role, found.group(1).startswith("must"), *objects[0]) if found and objects else None


def denied_schema(connection: Any, text: str) -> dict[str, str] | None:
    """Where it is the one that its tables are to be created in."""
    found = DENIED_SCHEMA.search(text)
    lack = lacking(connection) if found else None
    if not found or not lack or not lack["schema"]:
        return None
    return lack if lack["schema"] == quoted(connection, found.group(1)) else None


def quoted(connection: Any, name: str) -> str:
    """As SQL wants it; "" where the server does not say."""
    return next((str(row[0]) for row in rows(connection, "SELECT quote_ident(%s::text)", [name])), "")


def of_object(role: str, must_own: bool, kind: str, name: str, owner: str) -> dict[str, str]:
    wanted = "USAGE, SELECT, UPDATE" if kind == "SEQUENCE" else "SELECT, INSERT, UPDATE, DELETE"
    on = "SEQUENCE" if kind == "SEQUENCE" else "TABLE"
    statement = f"GRANT {wanted} ON {on} {name} TO {role};"
    if must_own:
        statement = f"ALTER {kind} {name} OWNER TO {role};"
    return {
        **BLANK,
        "lack": "owner" if must_own else "access",
        "role": role,
        "object": f"{kind.lower()} {name}",
        "owner": owner,
        "statement": statement,
    }


def rows(connection: Any, query: str, parameters: Any = ()) -> list[Any]:
    """None of them where the server does not let us ask."""
    return databases.allowed_rows(connection, query, parameters) or []
