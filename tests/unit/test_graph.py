"""What follows from files and records, reckoned here as Django's own loader does: random histories, both
ways."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import django
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoDbBlocker

from dbops.agent import squashes
from dbops.inspection.graph import Project, verdicts, version_of
from tests.loader_of_django import truth

Key = tuple[str, str]

APPS = ("a", "b", "c")


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], list[Key]]:
    """A project of some apps with branches, merges, squashes (also of squashes), run_before, parents that are
    missing, dependencies on first and latest; and what is recorded of it."""
    disk: list[dict[str, Any]] = []
    for app in draw(st.permutations(APPS)):
        disk += draw(migrations_of(app, keys_of(disk)))
    disk += draw(squashes_of(disk))
    if draw(st.booleans()):
        disk += draw(squashes_of(disk, "2"))
    gone = set(draw(subset(keys_of(disk))))
    if draw(st.integers(0, 5)) == 0:
        disk = [one for one in disk if (one["app"], one["name"]) not in gone]
    disk = draw(st.permutations(disk))
    names = keys_of(disk) + sorted(gone) + [("z", "0001_left")]
    return case_of(disk), draw(rows_of(names))


def keys_of(disk: list[dict[str, Any]]) -> list[Key]:
    return [(one["app"], one["name"]) for one in disk]


def case_of(disk: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "disk": disk,
        "apps": {"migrated": sorted({*APPS}), "unmigrated": ["plain"]},
        "django": django.get_version(),
    }


@st.composite
def migrations_of(draw: st.DrawFn, app: str, others: list[Key]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for number in range(1, draw(st.integers(0, 6)) + 1):
        own = [(app, one["name"]) for one in made]
        # Mostly a chain; a branch or a merge now and then.
        parents = own[-1:] if draw(st.integers(0, 3)) else draw(subset(own))
        ends = [(draw(st.sampled_from(APPS)), draw(st.sampled_from(["__first__", "__latest__"])))]
        ends = ends if draw(st.integers(0, 5)) == 0 else []
        foreign = draw(subset([*others, ("plain", "__first__"), (app, "__first__"), *ends], 2))
        missing = [("a", "0099_missing")] if draw(st.integers(0, 80)) == 0 else []
        unknown = [("nowhere", "__first__")] if draw(st.integers(0, 200)) == 0 else []
        before = draw(subset(others, 1)) if draw(st.integers(0, 15)) == 0 else []
        made.append(
            one_of(
                app,
                f"{number:04}_m",
                [
                    *parents,
                    *(key for key in foreign if key[0] != app or key[1] == "__first__"),
                    *missing,
                    *unknown,
                ],
                before,
            )
        )
    return made


def one_of(
    app: str, name: str, dependencies: Sequence[Key], before: Sequence[Key] = (), replaces: Sequence[Key] = ()
) -> dict[str, Any]:
    parts = {"dependencies": dependencies, "run_before": before, "replaces": replaces}
    return {"app": app, "name": name, **{part: [list(key) for key in keys] for part, keys in parts.items()}}


def subset(keys: list[Key], most: int = 3) -> Any:
    return st.lists(st.sampled_from(keys), max_size=most, unique=True) if keys else st.just([])


@st.composite
def squashes_of(draw: st.DrawFn, disk: list[dict[str, Any]], mark: str = "") -> list[dict[str, Any]]:
    """As squashmigrations makes them (a run of one app, its outer dependencies), and odd ones."""
    made = []
    for app in APPS:
        own = [one for one in disk if one["app"] == app]
        if len(own) < 2 or draw(st.integers(0, 2)):
            continue
        start = draw(st.integers(0, len(own) - 2))
        run = own[start : start + draw(st.integers(1, 4))]
        replaces = [(app, one["name"]) for one in run]
        named = [(key[0], key[1]) for one in run for key in one["dependencies"]]
        outer = [key for key in named if key not in replaces]
        made.append(one_of(app, f"0001_squash{mark}", list(dict.fromkeys(outer)), [], replaces))
    return made


@st.composite
def rows_of(draw: st.DrawFn, names: list[Key]) -> list[Key]:
    """Nothing, a beginning of some order, or anything at all."""
    shuffled = draw(st.permutations(sorted(names)))
    ordered = sorted(names) if draw(st.booleans()) else shuffled
    return ordered[: draw(st.integers(0, len(ordered)))]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(cases())
def test_the_verdicts_are_those_of_djangos_own_loader(
    django_db_blocker: DjangoDbBlocker, case: tuple[dict[str, Any], list[Key]]
) -> None:
    project, rows = case
    found = verdicts(Project.from_report(project), dict.fromkeys(rows))
    with django_db_blocker.unblock():
        told = truth(project, rows)
    event(kind_of(told))
    assert found.problem == told["problem"]
    if not found.problem:
        assert found.plan == told["plan"]
        assert found.conflicts == told["conflicts"]
        assert bool(found.inconsistencies) == told["inconsistent"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_squashes_are_told_as_the_agent_tells_them(case: tuple[dict[str, Any], list[Key]]) -> None:
    project, rows = case
    found = verdicts(Project.from_report(project), dict.fromkeys(rows))
    files = {(one["app"], one["name"]): SimpleNamespace(**one) for one in project["disk"]}
    disk: Any = SimpleNamespace(migrations=files, files=files)
    assert found.squashes == squashes.of(disk, dict.fromkeys(rows))
    replaced = {tuple(key) for one in project["disk"] for key in one["replaces"]}
    without = [key for key in rows if key not in files]
    assert found.ghosts == [key for key in without if key not in replaced]
    assert found.prunable == [key for key in without if key in replaced]


def test_a_squash_of_squashes_is_read_as_the_targets_django_reads_it() -> None:
    """0001 and 0002 are applied; s1 replaces them, s2 replaces s1 and 0003. Django 6 resolves that."""
    disk = [
        one_of("a", "0001", []),
        one_of("a", "0002", [("a", "0001")]),
        one_of("a", "0003", [("a", "0002")]),
        one_of("a", "s1", [], [], [("a", "0001"), ("a", "0002")]),
        one_of("a", "s2", [], [], [("a", "s1"), ("a", "0003")]),
    ]
    rows = dict.fromkeys([("a", "0001"), ("a", "0002"), ("a", "0003")])
    assert Project.from_report({**case_of(disk), "django": "6.0.1"}).squash_of_squash
    assert verdicts(Project.from_report({**case_of(disk), "django": "6.0.1"}), rows).plan == []


@pytest.mark.parametrize(
    ("told", "version"), [("6.0.1", (6, 0)), ("5.2", (5, 2)), ("6.1a1", (6, 1)), ("", (0, 0)), ("6", (0, 0))]
)
def test_the_version_of_django_decides_the_rules(told: str, version: tuple[int, int]) -> None:
    assert version_of(told) == version


def kind_of(told: dict[str, Any]) -> str:
    if told["problem"]:
        return str(told["problem"])
    held = [word for word in ("plan", "conflicts", "inconsistent") if told[word]]
    return " ".join(held) or "nothing to say"
