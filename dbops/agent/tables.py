"""A table as a model of the migration states has it: columns, indexes, constraints, without a database.

Names are those that Django's own schema editor, or Postgres where Django leaves the choice to it, gives to
what is made with its table.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from django.db.models import NOT_PROVIDED

from . import failures

if TYPE_CHECKING:
    from typing import Any, Iterable

PRIMARY_KEY, UNIQUE, CHECK, FOREIGN_KEY = "primary key", "unique", "check", "foreign key"
INDEX, OTHER = "index", "other"
# https://www.postgresql.org/docs/current/runtime-config-preset.html: NAMEDATALEN, with the zero at its end.
LONGEST_NAME = 63
SERIAL = re.compile(r"(small|big)?serial$")


class Item(NamedTuple):
    """An index or a constraint. `key`: what it is known by while its name may change; `definition`: words of
    SQL without its name; `is_index`: it is one of the database's, not a constraint."""

    key: tuple[Any, ...]
    name: str
    kind: str
    columns: tuple[str, ...]
    definition: str
    is_index: bool = False
    is_unique: bool = False
    to: tuple[str, str] | None = None
    suffix: str = "idx"


class Description(NamedTuple):
    table: str
    columns: dict[str, dict[str, Any]]
    items: dict[tuple[Any, ...], Item]
    comment: str


class Describer:
    """Descriptions of models as they would be made over this connection. Each is made once a model."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.editor = connection.schema_editor(collect_sql=True)
        self.editor.deferred_sql = []
        self.names_by_server = connection.vendor == "postgresql"
        self.comments = bool(getattr(connection.features, "supports_comments", False))
        self.known: WeakKeyDictionary[Any, Description] = WeakKeyDictionary()

    def of(self, model: Any) -> Description:
        found = self.known.get(model)
        if found is None:
            found = self.known[model] = self._described(model)
        return found

    def _described(self, model: Any) -> Description:
        columns = {field.column: self.column(field) for field in model._meta.local_concrete_fields}
        items: dict[tuple[Any, ...], Item] = {}
        for item in self._items(model):
            # Two that are alike but for the name are two.
            items[item.key if item.key not in items else (*item.key, item.name)] = item
        return Description(
            model._meta.db_table, columns, items, self.comment(model._meta, "db_table_comment")
        )

    def comment(self, holder: Any, name: str) -> str:
        return str(getattr(holder, name, None) or "") if self.comments else ""

    # Columns

    def column(self, field: Any) -> dict[str, Any]:
        parameters = field.db_parameters(connection=self.connection)
        kind, suffix = str(parameters.get("type") or ""), str(field.db_type_suffix(self.connection) or "")
        generated, stored = self.generated(field)
        return {
            "type": kind,
            "null": bool((field.null or generated) and not field.primary_key and not in_primary_key(field)),
            "default": self.default(field),
            "primary_key": bool(field.primary_key or in_primary_key(field)),
            "comment": self.comment(field, "db_comment"),
            "generated": f"{generated} {'STORED' if stored else 'VIRTUAL'}" if generated else "",
            "identity": bool("IDENTITY" in suffix or "AUTOINCREMENT" in suffix or SERIAL.match(kind)),
            "collation": collation(field, parameters),
        }

    def default(self, field: Any) -> str:
        """The database's own; Django keeps those of its fields to itself."""
        given = getattr(field, "db_default", NOT_PROVIDED)
        if given is NOT_PROVIDED:
            return ""
        return self.merged(*self.editor.db_default_sql(field))

    def generated(self, field: Any) -> tuple[str, bool]:
        if not getattr(field, "generated", False):
            return "", False
        return self.merged(*field.generated_sql(self.connection)), bool(field.db_persist)

    def merged(self, sql: Any, params: Any) -> str:
        return str(sql % tuple(self.editor.quote_value(value) for value in params) if params else sql)

    # Indexes and constraints

    def _items(self, model: Any) -> Iterable[Item]:
        meta = model._meta
        yield from self._primary_key(meta)
        for field in meta.local_concrete_fields:
            yield from self._of_field(model, field)
        for names in meta.unique_together:
            yield from self._unique_together(model, [meta.get_field(name) for name in names])
        for names in getattr(meta, "index_together", ()):
            fields = [meta.get_field(name) for name in names]
            statement = self.editor._create_index_sql(model, fields=fields, suffix="_idx")
            yield from self.stated(statement, meta.db_table, (INDEX, "together"), columns_of(fields))
        for index in meta.indexes:
            yield from self.or_its_name(self.index, model, index)
        for constraint in meta.constraints:
            yield from self.or_its_name(self.constraint, model, constraint)

    def or_its_name(self, told: Any, model: Any, thing: Any) -> list[Item]:
        """Its fields may have been renamed, and it follows with the next operation."""
        try:
            return list(told(model, thing))
        except Exception as problem:
            failures.let_a_stop_through(problem)
            words = f"(not told: {failures.describe(problem)})"
            kind = INDEX if told == self.index else CHECK
            return [Item(("named", thing.name), thing.name, kind, (), words, kind == INDEX)]

    def index(self, model: Any, index: Any) -> Iterable[Item]:
        columns = [model._meta.get_field(name).column for name, _ in index.fields_orders]
        if getattr(index, "expressions", None) and not self.expressions:
            return
        made = index.create_sql(model, self.editor)
        yield from self.stated(made, model._meta.db_table, ("named", index.name), columns, index.suffix)

    @property
    def expressions(self) -> bool:
        return bool(getattr(self.connection.features, "supports_expression_indexes", True))

    def _primary_key(self, meta: Any) -> Iterable[Item]:
        fields = [field for field in meta.local_concrete_fields if field.primary_key or in_primary_key(field)]
        if fields:
            columns = columns_of(getattr(meta, "pk_fields", None) or fields)
            name = self.inline_name(meta.db_table, "", "pkey", PRIMARY_KEY)
            yield Item(
                (PRIMARY_KEY,),
                name,
                PRIMARY_KEY,
                columns,
                f"PRIMARY KEY ({self.quoted(columns)})",
                is_unique=True,
            )

    def _of_field(self, model: Any, field: Any) -> Iterable[Item]:
        table, columns = model._meta.db_table, (field.column,)
        if field.unique and not field.primary_key:
            name = self.inline_name(table, field.column, "key", UNIQUE)
            words = f"UNIQUE ({self.quoted(columns)})"
            yield Item((UNIQUE, columns), name, UNIQUE, columns, words, is_unique=True)
        check = field.db_parameters(connection=self.connection).get("check")
        if check:
            name = self.inline_name(table, field.column, "check", CHECK)
            yield Item((CHECK, columns), name, CHECK, columns, f"CHECK ({check})")
        yield from self._foreign_key(model, field)
        for number, statement in enumerate(self.editor._field_indexes_sql(model, field)):
            like = str(statement).find("_pattern_ops") > 0
            kind = (INDEX, "like") if like else (INDEX, "field", number)
            yield from self.stated(statement, table, kind, columns)

    def _foreign_key(
        self, model: Any, field: Any, suffix: str = "_fk_%(to_table)s_%(to_column)s"
    ) -> Iterable[Item]:
        remote = field.remote_field
        if not remote or not getattr(field, "db_constraint", False):
            return
        to_model = remote.model._meta
        to = (to_model.db_table, to_model.get_field(remote.field_name).column)
        key = (FOREIGN_KEY, (field.column,), to)
        if not self.connection.features.supports_foreign_keys:
            return
        if self.editor.sql_create_inline_fk:
            words = self.editor.sql_create_inline_fk % {
                "to_table": self.editor.quote_name(to[0]),
                "to_column": self.editor.quote_name(to[1]),
                "on_delete_db": "",
            }
            words = f"FOREIGN KEY ({self.quoted(key[1])}) {' '.join(words.split())}"
            yield Item(key, words_for(FOREIGN_KEY, field.column), FOREIGN_KEY, key[1], words, to=to)
            return
        statement = self.editor._create_fk_sql(model, field, suffix)
        for item in self.stated(statement, model._meta.db_table, key, (field.column,)):
            yield item._replace(key=key, kind=FOREIGN_KEY, to=to)

    def _unique_together(self, model: Any, fields: list[Any]) -> Iterable[Item]:
        columns = columns_of(fields)
        statement = self.unique_statement(model, fields)
        for item in self.stated(statement, model._meta.db_table, (UNIQUE,), columns):
            yield item._replace(is_unique=True)

    def unique_statement(self, model: Any, fields: list[Any]) -> Any:
        # It takes columns up to Django 3.2.
        takes_columns = "columns" in inspect.signature(self.editor._create_unique_sql).parameters
        return self.editor._create_unique_sql(model, list(columns_of(fields)) if takes_columns else fields)

    def constraint(self, model: Any, constraint: Any) -> Iterable[Item]:
        """As it stands in its table, or as an index where the database knows it as one."""
        meta = model._meta
        columns = [meta.get_field(name).column for name in getattr(constraint, "fields", None) or ()]
        made = constraint.constraint_sql(model, self.editor)
        if made is None:
            made = constraint.create_sql(model, self.editor)
        # An index is put there too.
        self.editor.deferred_sql.clear()
        is_unique = type(constraint).__name__ == "UniqueConstraint"
        kind = UNIQUE if is_unique else CHECK if type(constraint).__name__ == "CheckConstraint" else OTHER
        for item in self.stated(made, meta.db_table, ("named", constraint.name), columns):
            yield item._replace(kind=kind, name=constraint.name, is_unique=is_unique)

    def stated(
        self, statement: Any, table: str, key: tuple[Any, ...], columns: Iterable[str], suffix: str = "idx"
    ) -> Iterable[Item]:
        """What a statement of the schema editor's makes. None: this database does not have such a thing."""
        if statement is None:
            return
        text, columns = str(statement), tuple(columns)
        quote = self.editor.quote_name
        name = key[1] if key[0] == "named" else str(statement.parts["name"]).strip('"`')
        head, _, tail = text.partition(f" ON {quote(table)} ")
        is_index, is_unique = head.startswith("CREATE ") and bool(tail), head.startswith("CREATE UNIQUE")
        if is_index:
            words = f"{'UNIQUE ' if is_unique else ''}INDEX {tail}"
        else:
            words = text.partition(f"{quote(name)} ")[2] or text
        if key[0] == "named":
            yield Item(key, name, INDEX, columns, words, is_index, is_unique, None, suffix)
        else:
            yield Item((*key, columns), name, key[0], columns, words, is_index, is_unique, None, suffix)

    # Names

    def quoted(self, columns: Iterable[str]) -> str:
        return ", ".join(map(self.editor.quote_name, columns))

    def inline_name(self, table: str, column: str, label: str, kind: str) -> str:
        if self.names_by_server:
            return object_name(table, column, label)
        return words_for(kind, column)

    def altered_name(self, model: Any, item: Item) -> str:
        """Of what is not made with its column, but when the column is altered."""
        if not self.names_by_server or item.key[0] == "named":
            return item.name
        table, columns = model._meta.db_table, list(item.columns)
        suffix = {UNIQUE: "_uniq", CHECK: "_check", PRIMARY_KEY: "_pk"}.get(item.kind)
        return str(self.editor._create_index_name(table, columns, suffix=suffix)) if suffix else item.name

    def again_name(self, model: Any, item: Item) -> str:
        """Of a foreign key that is made again since the type of what it points to changes."""
        fields = [field for field in model._meta.local_concrete_fields if field.column in item.columns]
        for made in self._foreign_key(model, fields[0], "_fk") if fields and self.names_by_server else ():
            return made.name
        return item.name


def object_name(table: str, column: str, label: str) -> str:
    """As makeObjectName of Postgres: https://doxygen.postgresql.org/indexcmds_8c.html"""
    first, second = table.strip('"').rpartition('"."')[2].encode(), column.encode()
    room = LONGEST_NAME - len(label) - 1 - (1 if column else 0)
    while len(first) + len(second) > room:
        if len(first) > len(second):
            first = first[:-1]
        else:
            second = second[:-1]
    parts = [first.decode("utf-8", "ignore"), second.decode("utf-8", "ignore"), label]
    return "_".join(filter(None, parts))


def words_for(kind: str, column: str) -> str:
    """It has no name of its own in the database."""
    return f"{kind} ({column})" if column else kind


def columns_of(fields: Iterable[Any]) -> tuple[str, ...]:
    return tuple(field.column for field in fields)


def in_primary_key(field: Any) -> bool:
    """Of a composite one, since Django 5.2."""
    return field in (getattr(field.model._meta, "pk_fields", None) or ())


def collation(field: Any, parameters: dict[str, Any]) -> str:
    return str(parameters.get("collation") or getattr(field, "db_collation", None) or "")
