"""Where the nodes of a migration graph stand: apps as lanes side by side, depth downwards. Pure.

First an order in which every migration comes behind what it depends on and that stays in an app as long as it
can; what is neighbours there may be collapsed into one run without ever making a circle. Then rows by depth.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import groupby

from dbops.pages.graph_nodes import Graph, Key

Edge = tuple[int, int]
WORTH_COLLAPSING = 4
# What would be wider goes on in the next row.
COLUMNS = 4


@dataclass(frozen=True)
class Block:
    """One migration, or a run of several of one app."""

    members: tuple[Key, ...]

    @property
    def app(self) -> str:
        return self.members[0][0]

    @property
    def is_run(self) -> bool:
        return len(self.members) > 1


@dataclass(frozen=True)
class Place:
    """`lane` counts apps, `column` within the lane, `row` is the depth."""

    lane: int
    column: int
    row: int


@dataclass(frozen=True)
class Layout:
    blocks: list[Block]
    places: list[Place]
    # (from, to) by position in `blocks`, each downwards: what is depended on comes first.
    edges: list[Edge]
    # Those of a circle, which cannot all go downwards.
    circular: list[Edge]
    # The app of each lane, and how many columns it is wide.
    lanes: list[tuple[str, int]]

    @property
    def rows(self) -> int:
        return max((place.row for place in self.places), default=-1) + 1


def lay_out(
    graph: Graph, shown: Collection[Key], kind_of: Callable[[Key], str], most: int, first: str = ""
) -> Layout:
    """`kind_of`: neighbours of one kind may be collapsed, those of "" never. `most`: blocks; what comes
    behind them in the order is left out. `first`: the app of the lane on the left."""
    order, against = in_order(graph, shown)
    blocks = collapse(order, kind_of)[:most]
    of = {key: position for position, block in enumerate(blocks) for key in block.members}
    edges, circular = dict[Edge, None](), dict[Edge, None]()
    for key, child in of.items():
        for parent in graph.parents[key]:
            if parent in of and of[parent] != child:
                (circular if (parent, key) in against else edges)[of[parent], child] = None
    lanes = _lanes(graph, blocks, first)
    places = _places(blocks, list(edges), lanes)
    widths = [max(place.column for place in places if place.lane == lane) + 1 for lane in range(len(lanes))]
    return Layout(blocks, places, list(edges), list(circular), list(zip(lanes, widths, strict=True)))


def in_order(graph: Graph, shown: Collection[Key]) -> tuple[list[Key], set[tuple[Key, Key]]]:
    """All of `shown`, each behind what it depends on; and the (parent, child) of circles that are not."""
    parents = {key: {p for p in graph.parents[key] if p in shown and p != key} for key in sorted(shown)}
    children: dict[Key, list[Key]] = {key: [] for key in parents}
    for key, mine in parents.items():
        for parent in sorted(mine):
            children[parent].append(key)
    waiting = {key: len(mine) for key, mine in parents.items()}
    ready: dict[str, set[Key]] = {}
    for key, count in waiting.items():
        if not count:
            ready.setdefault(key[0], set()).add(key)
    order: list[Key] = []
    done: set[Key] = set()
    against: set[tuple[Key, Key]] = set()
    app = ""
    while len(order) < len(parents):
        if not any(ready.values()):
            # A circle: begin where the least is lacking, and say which edges stand against the order.
            key = min((k for k in parents if k not in done), key=lambda k: (waiting[k], k))
            against |= {(parent, key) for parent in parents[key] if parent not in done}
            waiting[key] = 0
            ready.setdefault(key[0], set()).add(key)
        if not ready.get(app):
            app = min(label for label, keys in ready.items() if keys)
        key = min(ready[app])
        ready[app].remove(key)
        order.append(key)
        done.add(key)
        for child in children[key]:
            if child in done or (key, child) in against:
                continue
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.setdefault(child[0], set()).add(child)
    return order, against


def collapse(order: Iterable[Key], kind_of: Callable[[Key], str]) -> list[Block]:
    """Neighbours of one app and kind, where they are enough to be worth it, become one block."""
    blocks: list[Block] = []
    for (_, kind), group in groupby(order, key=lambda key: (key[0], kind_of(key))):
        run = tuple(group)
        if kind and len(run) >= WORTH_COLLAPSING:
            blocks.append(Block(run))
        else:
            blocks += [Block((key,)) for key in run]
    return blocks


def _lanes(graph: Graph, blocks: list[Block], first: str) -> list[str]:
    """What one looks for stands on the left; where that is the same, what others depend on."""
    urgency: dict[str, int] = {}
    for block in blocks:
        mine = min(graph.nodes[key].urgency for key in block.members)
        urgency[block.app] = min(mine, urgency.get(block.app, mine))
    return sorted(urgency, key=lambda app: (app != first, urgency[app]))


def _places(blocks: list[Block], edges: list[Edge], apps: list[str]) -> list[Place]:
    parents: dict[int, list[int]] = {}
    for parent, child in edges:
        parents.setdefault(child, []).append(parent)
    lanes = {app: number for number, app in enumerate(apps)}
    taken: set[Place] = set()
    places: list[Place] = []
    for position, block in enumerate(blocks):
        # Blocks come in an order in which every edge goes forward: the parents have their places.
        above = [places[parent] for parent in parents.get(position, [])]
        lane = lanes[block.app]
        row = max((place.row for place in above), default=-1) + 1
        beside = [place.column for place in above if place.lane == lane]
        place = _free(taken, lane, row, beside[0] if beside else 0)
        taken.add(place)
        places.append(place)
    return places


def _free(taken: set[Place], lane: int, row: int, wanted: int) -> Place:
    """Straight below what it follows where there is room, else the first free place, in this row or below."""
    columns = [wanted, *(column for column in range(COLUMNS) if column != wanted)]
    while True:
        for column in columns:
            if (place := Place(lane, column, row)) not in taken:
                return place
        row += 1
