"""A plan as lines for a terminal: what its page says, in its order."""

from collections.abc import Iterator

from dbops.inspection import schema_diff
from dbops.pages.plan import Content, PlanPage
from dbops.pages.plan_entries import Migration
from dbops.templatetags.ages import age_words


def plan_lines(page: PlanPage, *, sql: bool, diff: bool) -> Iterator[str]:
    content = page.content
    if content is None or page.plan is None:
        yield from (f"  {app}.{name}" for app, name in page.unread)
        if sql or diff:
            yield "What they do has not been read yet: it comes with an inspection, or with --app."
        return
    yield from head(page, content)
    for migration in content.migrations:
        yield from migration_lines(migration, sql=sql)
        if diff:
            yield from indented(schema_diff.as_text(migration.diff), 6)
    if diff and len(content.migrations) > 1:
        yield "Schema, before and after all of it:"
        yield from indented(schema_diff.as_text(content.diff), 4)


def head(page: PlanPage, content: Content) -> Iterator[str]:
    assert page.plan is not None
    way = "Backwards, which is shown and not run: " if page.plan.backwards else ""
    yield f"{way}{content.summary or 'There is nothing to apply.'}"
    for one in content.all_dangers:
        finding = one.finding
        yield f"  {finding.severity}: {finding.title} {finding.subject} ({one.migration.key})"
    if content.facts.get("stopped"):
        yield str(content.facts["stopped"])
    yield f"Read {age_words(page.plan.read_at)}, fingerprint {page.plan.fingerprint}."
    if page.outdated:
        yield page.outdated


def migration_lines(migration: Migration, *, sql: bool) -> Iterator[str]:
    yield f"  {migration.key}"
    if migration.facts.get("docstring"):
        yield from indented(str(migration.facts["docstring"]), 6)
    if not migration.facts.get("atomic", True):
        yield "      not atomic: what it did before it failed stays"
    if migration.irreversible:
        yield f"      cannot be reversed: {migration.irreversible}"
    for operation in migration.operations:
        marks = f" ({', '.join(operation.marks)})" if operation.marks else ""
        yield f"      {'  ' * operation.depth}{operation.number}. {operation.facts.get('words')}{marks}"
    if sql:
        yield from sql_lines(migration)


def sql_lines(migration: Migration) -> Iterator[str]:
    for problem in migration.sql_problems:
        yield f"      -- {problem}"
    for operation in migration.operations:
        yield from indented(operation.source, 6)
    for statement in migration.sql:
        yield from indented(statement.rstrip(";") + ";", 6)
    if migration.reverse_sql or migration.reverse_problems:
        yield "      -- the way back"
        yield from (f"      -- {problem}" for problem in migration.reverse_problems)
        for statement in migration.reverse_sql:
            yield from indented(statement.rstrip(";") + ";", 6)


def indented(text: str, width: int) -> list[str]:
    return [f"{' ' * width}{line}" for line in text.splitlines()]
