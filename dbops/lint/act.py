"""What a statement does to a table, an index, a column: an act. One ALTER TABLE may hold several."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Act:
    """`kind` is a word of statement.py or alter_table.py; "unknown" where it is not known what it does."""

    kind: str
    # Without its schema, as Django calls it.
    table: str = ""
    # Column, index or constraint.
    name: str = ""
    # The new name of what is renamed; the table that a foreign key points to.
    other: str = ""
    columns: tuple[str, ...] = ()
    # Of a column: its type in lower case; of a constraint: unique, check, foreign key, primary key, exclude,
    # not null.
    type: str = ""
    # if not exists, concurrently, unique, where, cascade, not valid, using index, not null, null, default,
    # check, references
    flags: frozenset[str] = frozenset()
    # The default, the expression of USING or of a check, what an index is on, what follows the columns of
    # another constraint, the mode of a lock, as it is written.
    expression: str = ""
    # The statement's beginning.
    text: str = ""
    # Index of the operation in the migration; None where that is not known.
    operation: int | None = None

    def has(self, flag: str) -> bool:
        return flag in self.flags

    @property
    def subject(self) -> str:
        return f"{self.table}.{self.name}" if self.name else self.table
