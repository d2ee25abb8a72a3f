"""The picture of a migration graph: whatever the graph, nothing overlaps, edges go down, nothing is lost."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from dbops.pages.graph_layout import COLUMNS, WORTH_COLLAPSING, Layout, in_order, lay_out
from dbops.pages.graph_nodes import Graph, Key, Node

APPS = ["auth", "shop", "orders", "z"]
STATES = ["applied", "applied", "applied", "pending", "ghost"]


@st.composite
def graphs(draw: st.DrawFn, circles: bool = False) -> Graph:
    """Migrations of a few apps; each depends on some that were made before it, or with circles on any."""
    count = draw(st.integers(1, 40))
    keys = [(draw(st.sampled_from(APPS)), f"{number:04}_m") for number in range(count)]
    nodes = {key: Node(*key, draw(st.sampled_from(STATES))) for key in keys}
    parents: dict[Key, list[Key]] = {}
    for number, key in enumerate(keys):
        below = keys if circles else keys[:number]
        chosen = draw(st.lists(st.sampled_from(below), max_size=3, unique=True)) if below else []
        parents[key] = chosen
    return Graph(nodes, parents)


def laid(graph: Graph, *, collapsed: bool, most: int = 1000) -> Layout:
    return lay_out(graph, set(graph.nodes), lambda key: graph.nodes[key].state if collapsed else "", most)


@given(graphs(), st.booleans())
def test_no_two_shapes_stand_in_one_place(graph: Graph, collapsed: bool) -> None:
    layout = laid(graph, collapsed=collapsed)
    assert len(set(layout.places)) == len(layout.blocks)
    for place, block in zip(layout.places, layout.blocks, strict=True):
        app, columns = layout.lanes[place.lane]
        assert block.app == app
        assert 0 <= place.column < columns <= COLUMNS and 0 <= place.row < layout.rows


@given(graphs(), st.booleans())
def test_every_edge_goes_down_and_none_is_lost(graph: Graph, collapsed: bool) -> None:
    layout = laid(graph, collapsed=collapsed)
    assert not layout.circular
    for parent, child in layout.edges:
        assert layout.places[parent].row < layout.places[child].row
    of = {key: position for position, block in enumerate(layout.blocks) for key in block.members}
    wanted = {(of[p], of[key]) for key, mine in graph.parents.items() for p in mine if of[p] != of[key]}
    assert set(layout.edges) == wanted


@given(graphs(circles=True), st.booleans())
def test_every_migration_is_shown_once_or_counted_in_one_run(graph: Graph, collapsed: bool) -> None:
    layout = laid(graph, collapsed=collapsed)
    members = [key for block in layout.blocks for key in block.members]
    assert sorted(members) == sorted(graph.nodes)


@given(graphs(circles=True))
def test_a_circle_is_told_apart_and_the_rest_still_goes_down(graph: Graph) -> None:
    layout = laid(graph, collapsed=False)
    for parent, child in layout.edges:
        assert layout.places[parent].row < layout.places[child].row
    of = {key: position for position, block in enumerate(layout.blocks) for key in block.members}
    wanted = {(of[p], of[key]) for key, mine in graph.parents.items() for p in mine if p != key}
    assert set(layout.edges) | set(layout.circular) == wanted


@given(graphs(circles=True))
def test_a_run_is_of_one_app_and_one_kind_and_worth_it(graph: Graph) -> None:
    for block in laid(graph, collapsed=True).blocks:
        assert len({(app, graph.nodes[app, name].state) for app, name in block.members}) == 1
        assert len(block.members) == 1 or len(block.members) >= WORTH_COLLAPSING


@given(graphs(), st.integers(1, 10))
def test_what_is_too_much_is_left_out_from_the_end(graph: Graph, most: int) -> None:
    whole, cut = laid(graph, collapsed=False), laid(graph, collapsed=False, most=most)
    assert cut.blocks == whole.blocks[:most]


def chain(app: str, count: int, state: str = "applied") -> Graph:
    keys = [(app, f"{number:04}_m") for number in range(1, count + 1)]
    parents: dict[Key, list[Key]] = {key: [] for key in keys}
    for before, after in pairwise(keys):
        parents[after] = [before]
    return Graph({key: Node(*key, state) for key in keys}, parents)


def both(one: Graph, other: Graph, *edges: tuple[Key, Key]) -> Graph:
    parents = {key: list(mine) for key, mine in {**one.parents, **other.parents}.items()}
    for child, parent in edges:
        parents[child].append(parent)
    return Graph({**one.nodes, **other.nodes}, parents)


def test_a_long_run_of_an_app_is_one_shape() -> None:
    layout = laid(chain("shop", 47), collapsed=True)
    assert [len(block.members) for block in layout.blocks] == [47]


def test_a_run_is_cut_where_another_app_stands_between() -> None:
    """Collapsed, shop would both precede and follow the other app."""
    shop, other = chain("shop", 20), chain("blog", 1)
    blog = ("blog", "0001_m")
    graph = both(shop, other, (blog, ("shop", "0010_m")), (("shop", "0011_m"), blog))
    layout = laid(graph, collapsed=True)
    assert [(block.app, len(block.members)) for block in layout.blocks] == [
        ("shop", 10), ("blog", 1), ("shop", 10),
    ]  # fmt: skip


def test_a_chain_stands_straight_below_itself() -> None:
    layout = laid(chain("shop", 9), collapsed=False)
    assert [(place.column, place.row) for place in layout.places] == [(0, row) for row in range(9)]


@settings(max_examples=20)
@given(graphs(circles=True))
def test_the_order_does_not_depend_on_how_the_report_was_sorted(graph: Graph) -> None:
    turned = Graph(dict(reversed(graph.nodes.items())), dict(reversed(graph.parents.items())))
    assert in_order(graph, set(graph.nodes)) == in_order(turned, set(turned.nodes))


def test_two_thousand_migrations_that_all_depend_on_one_are_no_wider_than_a_few_columns() -> None:
    root = ("shop", "0000_root")
    keys = [("shop", f"{number:04}_m") for number in range(1, 2000)]
    graph = Graph(
        {key: Node(*key, "pending") for key in [root, *keys]},
        {root: [], **{key: [root] for key in keys}},
    )
    layout = laid(graph, collapsed=False, most=10_000)
    assert layout.lanes == [("shop", COLUMNS)]
