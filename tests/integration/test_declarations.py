"""A declaration becomes a target, or a sentence: whatever stands in it."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbops.configured import FIELDS
from dbops.declare import VARIABLES, DeclarationError, declare
from dbops.models import AuditEvent, Target, TargetVariable
from tests.integration.conftest import ALICE, MakeTarget
from tests.integration.test_commands import call

pytestmark = pytest.mark.django_db

PYTHON = "python = '/usr/bin/python'\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("aliases = 'default'", "`aliases` is not a list of texts"),
        ("aliases = ['default', 5]", "`aliases` is not a list of texts"),
        ("env = 'x'", "`env` is not a table of texts"),
        ("secret_env = ['canary']", "`secret_env` is not a table of texts"),
        ("env = {PORT = 5432}", "the variable PORT of `env` is not a text"),
        ("secret_env = {KEY = ['canary']}", "the variable KEY of `secret_env` is not a text"),
        ("env_file = 5", "`env_file` is not a text"),
        ("label = 1979-05-27", "`label` is not a text"),
        ("working_directory = true", "`working_directory` is not a text"),
        ('working_directory = "/srv\\u0000"', "`working_directory` holds a NUL character"),
        ("allow_migrate = 'no'", "`allow_migrate` is neither true nor false"),
        ("allow_reset = 1", "`allow_reset` is neither true nor false"),
        ("launcher = [1]", "`launcher` is not a list of words"),
        ("launcher = {a = 'x'}", "`launcher` is not a list of words"),
        ('launcher = "manage.py \'x"', "`launcher` is not a list of words"),
        ('launcher = ["manage.py\\u0000"]', "`launcher` holds a NUL character"),
        ('env = {A = "x\\u0000"}', "the variable A of `env` holds a NUL character"),
        ('env = {"A\\u0000" = "x"}', "cannot be kept"),
        (f"env = {{{'A' * 201} = 'x'}}", "cannot be kept"),
        ("env = {A = 'x'}\nsecret_env = {A = 'canary'}", "A is in `env` and in `secret_env`"),
        ("queue = ''", "queue"),
    ],
)
def test_a_value_of_another_kind_is_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(f"[targets.good]\n{PYTHON}[targets.shop]\n{PYTHON}{text}\n")
    with pytest.raises(CommandError) as refused:
        call("sync_targets", "--file", str(file))
    sentence = str(refused.value)
    assert f"{file}: shop: " in sentence and words in sentence and "Nothing was changed." in sentence
    assert "canary" not in sentence
    assert not Target.objects.exists()


@pytest.mark.parametrize("text", ["targets.shop = 3", "targets.shop = []", "targets.shop = 'x'"])
def test_a_target_that_is_no_table_is_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(text)
    with pytest.raises(CommandError, match="shop: this is not a table.* Nothing was changed."):
        call("sync_targets", "--file", str(file))


def test_what_was_undone_is_not_told_as_done(tmp_path: Path) -> None:
    file, out = tmp_path / "targets.toml", StringIO()
    file.write_text(f"[targets.good]\n{PYTHON}[targets.worse]\n")
    with pytest.raises(CommandError):
        call_command("sync_targets", "--file", str(file), stdout=out)
    assert out.getvalue() == ""


def test_a_path_that_is_no_unicode_is_a_sentence() -> None:
    with pytest.raises(DeclarationError, match="`working_directory` is not Unicode text"):
        declare("shop", {"python": ["/x"], "working_directory": "/srv/\udcff"}, ALICE)


def test_aliases_are_kept_as_a_list(tmp_path: Path) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(f"[targets.shop]\n{PYTHON}aliases = ['default', 'replica']\n")
    call("sync_targets", "--file", str(file))
    assert Target.objects.get().aliases == ["default", "replica"]


def test_a_secret_whose_key_is_gone_is_replaced_by_the_one_declared(make_target: MakeTarget) -> None:
    target = make_target()
    target.variables.create(name="TOKEN", is_secret=True, sealed="sealed-with-a-key-that-is-gone")
    declared = declare("shop", {"python": ["/x"], "secret_env": {"TOKEN": "new"}}, ALICE)
    assert declared.result == "changed"
    assert TargetVariable.objects.get().value == "new"


# Anything that TOML can say

TEXTS = st.sampled_from(["", "\0", "x" * 3000, "'", "jobs", "production", "manage.py -v", "A"]) | st.text(
    max_size=20
)
SCALARS = st.one_of(
    TEXTS,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.just(datetime(2026, 1, 2, 3, 4, 5)),
    st.just(date(2026, 1, 2)),
    st.just(time(3, 4)),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
# Of the kind that the field wants, which says little about whether it can be kept.
TABLE = st.dictionaries(st.sampled_from(["A", "PORT", "B"]) | TEXTS, TEXTS, max_size=3)
WORDS = st.just("/usr/bin/python") | TEXTS | st.lists(TEXTS, max_size=3)
OF_A_KIND = {
    **dict.fromkeys(FIELDS, TEXTS),
    **dict.fromkeys(("python", "launcher"), WORDS),
    **dict.fromkeys(("through_shell", "allow_migrate", "allow_reset"), st.booleans()),
    **dict.fromkeys(VARIABLES, TABLE),
    "environment": st.sampled_from(["staging", "production"]) | TEXTS,
    "aliases": st.lists(TEXTS, max_size=3),
}
OPTIONAL = {name: kind for name, kind in OF_A_KIND.items() if name != "python"}
NAMES = st.from_regex(r"\A[a-z0-9_-]{1,64}\Z") | TEXTS
WHOLE = st.tuples(
    NAMES,
    st.one_of(
        st.fixed_dictionaries({"python": WORDS}, optional=OPTIONAL),
        ANYTHING,
    ),
)
ONE_STRANGE = st.sampled_from([*FIELDS, *VARIABLES]).flatmap(
    lambda field: (OF_A_KIND[field] | ANYTHING).map(
        lambda value: ("shop", {"python": ["/usr/bin/python"], field: value})
    )
)

A_NAME = st.tuples(NAMES, st.just({"python": "/usr/bin/python"}))


@pytest.mark.parametrize("declarations", [WHOLE, ONE_STRANGE, A_NAME], ids=["whole", "one value", "a name"])
def test_anything_either_declares_or_is_refused_in_words(
    db: None, declarations: st.SearchStrategy[tuple[str, Any]]
) -> None:
    outcomes: Counter[str] = Counter()

    @given(declarations)
    @settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def each(drawn: tuple[str, Any]) -> None:
        with transaction.atomic():
            outcomes[declared_or_refused(*drawn)] += 1
            transaction.set_rollback(True)

    each()
    assert outcomes["declared"] > 20 and outcomes["refused"] > 20, "the drawing says nothing"


def declared_or_refused(name: str, declaration: Any) -> str:
    try:
        declared = declare(name, declaration, ALICE)
    except DeclarationError as refused:
        assert "Nothing was changed." in str(refused)
        assert not Target.objects.exists() and not AuditEvent.objects.exists()
        return "refused"
    assert is_as_declared(declared.target, declaration)
    assert declare(name, declaration, ALICE).result == "unchanged"
    return "declared"


def is_as_declared(target: Target, declaration: Mapping[str, Any]) -> bool:
    kept = Target.objects.get(pk=target.pk)
    fields = [field for field in FIELDS if field in declaration and field not in ("python", "launcher")]
    variables = {**declaration.get("env", {}), **declaration.get("secret_env", {})}
    return (
        all(getattr(kept, field) == declaration[field] for field in fields)
        and all(isinstance(word, str) for word in (*kept.python, *kept.launcher, *kept.aliases))
        and {variable.name: variable.value for variable in kept.variables.all()} == variables
    )
