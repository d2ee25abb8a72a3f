"""What a report says of each migration, as nodes of the graph."""

from typing import Any

from dbops.pages.graph_nodes import Graph, Key, graph_of
from tests.reports import database, migration

ONE, TWO, THREE = ("shop", "0001_initial"), ("shop", "0002_more"), ("shop", "0003_last")
CHAIN = [migration(*ONE), migration(*TWO, ONE), migration(*THREE, TWO)]


def states(graph: Graph) -> dict[Key, str]:
    return {key: node.state for key, node in graph.nodes.items()}


def test_recorded_ones_are_applied_and_the_others_are_to_apply() -> None:
    graph = graph_of(CHAIN, database(CHAIN, [ONE]))
    assert states(graph) == {ONE: "applied", TWO: "pending", THREE: "pending"}
    assert graph.parents == {ONE: [], TWO: [ONE], THREE: [TWO]}


def test_recorded_without_a_file_is_a_ghost_and_one_that_others_name_is_missing() -> None:
    disk = [migration(*TWO, ONE), migration("blog", "0001_initial", ("gone", "0001_initial"))]
    graph = graph_of(disk, database(disk, [ONE, ("old", "0007_x")]))
    assert states(graph) == {
        ONE: "ghost", TWO: "pending", ("old", "0007_x"): "ghost",
        ("blog", "0001_initial"): "pending", ("gone", "0001_initial"): "missing",
    }  # fmt: skip


def test_leaves_in_conflict_say_so_beside_their_state() -> None:
    disk = [migration(*ONE), migration(*TWO, ONE), migration("shop", "0002_other", ONE)]
    found = database(disk, [ONE, TWO], conflicts={"shop": ["0002_more", "0002_other"]})
    graph = graph_of(disk, found)
    assert graph.nodes[TWO].words == "applied, one of several leaves"
    assert graph.nodes["shop", "0002_other"].words == "to apply, one of several leaves"


def squashed(applied: list[Key], plan: list[Key]) -> Graph:
    squash = migration("shop", "0001_squashed", replaces=[list(ONE), list(TWO)])
    disk = [migration(*ONE), migration(*TWO, ONE), squash, migration(*THREE, ("shop", "0001_squashed"))]
    planned: Any = [{"app": app, "name": name} for app, name in plan]
    return graph_of(disk, database(disk, applied, plan=planned))


def test_what_a_squash_replaces_is_left_aside_where_the_squash_is_to_apply() -> None:
    graph = squashed([], [("shop", "0001_squashed"), THREE])
    assert states(graph) == {
        ONE: "aside", TWO: "aside", ("shop", "0001_squashed"): "pending", THREE: "pending",
    }  # fmt: skip
    assert graph.nodes["shop", "0001_squashed"].words == "to apply, squash of 2"


def test_a_squash_is_applied_where_all_that_it_replaces_is_recorded() -> None:
    assert states(squashed([ONE, TWO], [THREE]))["shop", "0001_squashed"] == "applied"


def test_a_squash_of_which_a_part_is_recorded_is_left_aside() -> None:
    assert states(squashed([ONE], [TWO]))["shop", "0001_squashed"] == "aside"


def test_a_dependency_on_a_replaced_file_that_is_gone_leads_to_its_squash() -> None:
    disk = [migration("shop", "0001_squashed", replaces=[list(ONE), list(TWO)]), migration(*THREE, TWO)]
    assert graph_of(disk, database(disk, [])).parents[THREE] == [("shop", "0001_squashed")]


def test_the_first_and_the_latest_of_an_app_are_found() -> None:
    disk = [
        *CHAIN,
        migration("blog", "0001_initial", ("shop", "__first__")),
        migration(
            "blog", "0002_more", ("blog", "0001_initial"), ("shop", "__latest__"), ("auth", "__first__")
        ),
    ]  # fmt: skip
    graph = graph_of(disk, database(disk, []))
    assert graph.parents["blog", "0001_initial"] == [ONE]
    assert graph.parents["blog", "0002_more"] == [("blog", "0001_initial"), THREE]


def test_run_before_is_an_edge_of_the_other() -> None:
    disk = [*CHAIN, migration("blog", "0001_initial", run_before=[list(TWO)])]
    assert graph_of(disk, database(disk, [])).parents[TWO] == [ONE, ("blog", "0001_initial")]


def test_of_a_database_that_was_not_read_nothing_is_claimed() -> None:
    graph = graph_of(CHAIN, database(CHAIN, [], reachable=False))
    assert set(states(graph).values()) == {"unknown"}
