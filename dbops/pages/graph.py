"""The page of a target database's migration graph: a picture made here, and the same as a table."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from dbops.inspection.knowledge import database_statuses, latest_done, report_now
from dbops.models import TargetDatabase
from dbops.models.status import Status
from dbops.pages.graph_layout import Block, Layout, Place, lay_out
from dbops.pages.graph_nodes import STATES, Graph, Key, Node, graph_of
from dbops.rights import Rights, Role

# As ?app= has it: no app is called so.
EVERYTHING = "*"
TROUBLE = ("broken", "unreachable", "inconsistent")
# A graph that is no larger is shown whole, and nothing of it is collapsed.
SMALL = 60
MOST = 250
# Sizes in px, text of 11 px monospace.
WIDTH, HEIGHT = 184, 28
GAP_X, GAP_Y = 16, 22
LANE_GAP, HEADER, MARGIN = 28, 40, 12
LETTERS = 22


@dataclass(frozen=True)
class Box:
    """One shape of the picture, and one line of the table."""

    x: int
    y: int
    # Of the picture's own: applied, pending, ghost, missing, unknown, aside.
    state: str
    is_conflict: bool
    is_squash: bool
    # How many migrations it stands for.
    count: int
    app: str
    name: str
    label: str
    words: str
    url: str
    depends_on: list[str]

    @property
    def right(self) -> int:
        return self.x + WIDTH

    @property
    def width(self) -> int:
        return WIDTH

    @property
    def height(self) -> int:
        return HEIGHT

    @property
    def look(self) -> str:
        """Its colour, outline and icon."""
        return "conflict" if self.is_conflict else self.state

    @property
    def is_run(self) -> bool:
        return self.count > 1

    @property
    def outline(self) -> str:
        """The points of what is no rectangle: pointed at both ends."""
        left, right, top, bottom, middle = self.x, self.right, self.y, self.y + HEIGHT, self.y + HEIGHT // 2
        return (
            f"{left},{middle} {left + 10},{top} {right - 10},{top} {right},{middle} "
            f"{right - 10},{bottom} {left + 10},{bottom}"
        )

    @property
    def icon_x(self) -> int:
        return self.x + 12

    @property
    def icon_y(self) -> int:
        return self.y + 7

    @property
    def text_x(self) -> int:
        return self.x + 32

    @property
    def text_y(self) -> int:
        return self.y + 18


@dataclass(frozen=True)
class Lane:
    app: str
    x: int
    width: int
    words: str
    url: str


@dataclass(frozen=True)
class Line:
    path: str
    # Both ends in one app, from app to app, or part of a circle.
    kind: str


@dataclass(frozen=True)
class AppLink:
    app: str
    url: str
    count: int
    pending: int
    chosen: bool


@dataclass(frozen=True)
class GraphPage:
    database: TargetDatabase
    role: Role
    # Whether the latest complete inspection told of the files, and when it began.
    is_known: bool
    reported_at: datetime | None
    boxes: list[Box]
    lanes: list[Lane]
    lines: list[Line]
    width: int
    height: int
    # What is seen, of how many, in words.
    view: str
    sentence: str
    left_out: int
    total: int
    circular: int
    # What keeps Django from building it, or from being asked.
    in_the_way: list[Status]
    apps: list[AppLink]
    url: str
    legend: list[tuple[str, str]]

    @property
    def is_small(self) -> bool:
        return self.total <= SMALL


def graph_page(rights: Rights, database: TargetDatabase, app: str) -> GraphPage:
    inspection = latest_done(database.target)
    report = report_now(database, inspection)
    disk = (inspection.report or {}).get("disk") if inspection else None
    graph = graph_of(disk or [], report if disk is not None else {})
    url = reverse("graph", args=[database.target.name, database.alias])
    view = _view(graph, app)
    shown = _shown(graph, view)
    layout = _bounded(graph, shown, view)
    picture = _Picture(database, graph, layout, url)
    counted = sum(len(block.members) for block in layout.blocks)
    return GraphPage(
        database=database,
        role=rights.on(database.target_id),
        is_known=disk is not None,
        reported_at=inspection.started_at if inspection else None,
        boxes=picture.boxes,
        lanes=picture.lanes,
        lines=picture.lines,
        width=picture.width,
        height=picture.height,
        view=view,
        sentence=_sentence(view, counted, len(graph.nodes)),
        left_out=len(shown) - counted,
        total=len(graph.nodes),
        circular=len(layout.circular),
        in_the_way=[status for status in database_statuses(database) if status.state in TROUBLE],
        apps=_apps(graph, view, url),
        url=url,
        legend=_legend(picture.boxes),
    )


def _view(graph: Graph, app: str) -> str:
    """What is asked for, where it is there: an app, everything; else "" for what is to be looked at first."""
    if app == EVERYTHING or any(key[0] == app for key in graph.nodes):
        return app
    has_notable = any(node.is_notable for node in graph.nodes.values())
    return "" if has_notable and len(graph.nodes) > SMALL else EVERYTHING


def _shown(graph: Graph, view: str) -> set[Key]:
    """The chosen ones and what they touch."""
    if view == EVERYTHING:
        return set(graph.nodes)
    chosen = {key for key, node in graph.nodes.items() if (key[0] == view if view else node.is_notable)}
    touching = {key for key, parents in graph.parents.items() if any(parent in chosen for parent in parents)}
    return chosen | touching | {parent for key in chosen for parent in graph.parents[key]}


def _bounded(graph: Graph, shown: set[Key], view: str) -> Layout:
    """Collapsed no further than it takes to be read; what is still too much is cut off, and said."""
    quiet = _quiet(graph)

    def nothing(key: Key) -> str:
        return ""

    def applied_runs(key: Key) -> str:
        return "applied" if key in quiet else ""

    def runs(key: Key) -> str:
        node = graph.nodes[key]
        return "" if node.is_conflict else node.state

    kinds: list[Callable[[Key], str]] = [nothing, applied_runs, runs]
    if view == EVERYTHING and len(shown) > SMALL:
        kinds = [applied_runs, runs]
    for kind_of in kinds:
        layout = lay_out(graph, shown, kind_of, most=MOST + 1, first=view)
        if len(layout.blocks) <= MOST:
            return layout
    return lay_out(graph, shown, runs, most=MOST, first=view)


def _quiet(graph: Graph) -> set[Key]:
    """Applied, no squash, and touching nothing but such as are applied too."""
    plain = {
        key for key, node in graph.nodes.items()
        if node.state == "applied" and not node.is_conflict and not node.replaces
    }  # fmt: skip
    loud = {parent for key, parents in graph.parents.items() if key not in plain for parent in parents}
    loud |= {key for key in plain if any(parent not in plain for parent in graph.parents[key])}
    return plain - loud


def _sentence(view: str, counted: int, total: int) -> str:
    if not total:
        return ""
    if view == EVERYTHING:
        return f"All {total} migrations." if counted == total else f"{counted} of {total} migrations."
    what = (
        f"The app {view} and what it touches"
        if view
        else "What is to apply or in trouble, and what it touches"
    )
    return f"{what}: {counted} of {total} migrations."


def _apps(graph: Graph, view: str, url: str) -> list[AppLink]:
    by_app: dict[str, list[Node]] = {}
    for node in graph.nodes.values():
        by_app.setdefault(node.app, []).append(node)
    return [
        AppLink(
            app, _url_of(url, app), len(nodes), sum(node.state == "pending" for node in nodes), app == view
        )
        for app, nodes in sorted(by_app.items())
    ]


def _url_of(url: str, app: str) -> str:
    return f"{url}?{urlencode({'app': app})}"


def _legend(boxes: list[Box]) -> list[tuple[str, str]]:
    """(look, words) of those that are there."""
    looks = {box.look for box in boxes}
    words = {"conflict": "one of several leaves of its app", **STATES}
    squash = [("squash", "a squash, stands for several")] if any(box.is_squash for box in boxes) else []
    runs = [("run", "several, one after another")] if any(box.is_run for box in boxes) else []
    return [(look, words[look]) for look in words if look in looks] + squash + runs


class _Picture:
    """Places become coordinates, blocks become boxes with words and links."""

    def __init__(self, database: TargetDatabase, graph: Graph, layout: Layout, url: str) -> None:
        self.database, self.graph, self.layout, self.url = database, graph, layout, url
        self.lefts: list[int] = []
        x = MARGIN
        for _, columns in layout.lanes:
            self.lefts.append(x)
            x += columns * (WIDTH + GAP_X) - GAP_X + LANE_GAP
        self.width = x - LANE_GAP + MARGIN
        self.height = HEADER + layout.rows * (HEIGHT + GAP_Y) + MARGIN
        self.of = {key: block for block in layout.blocks for key in block.members}
        self.boxes = [self._box(b, p) for b, p in zip(layout.blocks, layout.places, strict=True)]
        self.lanes = [self._lane(number) for number in range(len(layout.lanes))]
        self.lines = [self._line(edge, "") for edge in layout.edges]
        self.lines += [self._line(edge, "circular") for edge in layout.circular]

    def _box(self, block: Block, place: Place) -> Box:
        node = self.graph.nodes[block.members[0]]
        label = _run_label(block) if block.is_run else node.name
        words = f"{len(block.members)} migrations, {STATES[node.state]}" if block.is_run else node.words
        return Box(
            x=self.lefts[place.lane] + place.column * (WIDTH + GAP_X),
            y=HEADER + place.row * (HEIGHT + GAP_Y),
            state=node.state,
            is_conflict=node.is_conflict,
            is_squash=bool(node.replaces) and not block.is_run,
            count=len(block.members),
            app=node.app,
            name=label,
            label=label if len(label) <= LETTERS else f"{label[: LETTERS - 1]}…",
            words=words,
            url=_url_of(self.url, node.app) if block.is_run else self._migration(node),
            depends_on=self._depends_on(block),
        )

    def _depends_on(self, block: Block) -> list[str]:
        parents = dict.fromkeys(p for key in block.members for p in self.graph.parents[key])
        return [f"{app}.{name}" for app, name in parents if (app, name) not in block.members]

    def _migration(self, node: Node) -> str:
        """Its own page; a name that cannot stand in an address leads to its app on the target's page."""
        place = [self.database.target.name, self.database.alias]
        try:
            return reverse("migration", args=[*place, node.app, node.name])
        except NoReverseMatch:
            target = reverse("target", args=[self.database.target.name])
            return f"{target}#app_{self.database.pk}_{node.app}"

    def _lane(self, number: int) -> Lane:
        app, columns = self.layout.lanes[number]
        mine = [node for node in self.graph.nodes.values() if node.app == app]
        pending = sum(node.state == "pending" for node in mine)
        words = f"{len(mine)} migration{'s' * (len(mine) != 1)}" + (
            f", {pending} to apply" if pending else ""
        )
        width = columns * (WIDTH + GAP_X) - GAP_X
        return Lane(app, self.lefts[number], width, words, _url_of(self.url, app))

    def _line(self, edge: tuple[int, int], kind: str) -> Line:
        start, end = self.boxes[edge[0]], self.boxes[edge[1]]
        if kind == "circular":
            return Line(_upwards(start, end), kind)
        x1, y1 = start.x + WIDTH // 2, start.y + HEIGHT
        x2, y2 = end.x + WIDTH // 2, end.y
        bend = max(GAP_Y, abs(y2 - y1) // 3)
        path = f"M{x1} {y1}C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2 - 2}"
        return Line(path, kind or ("within" if start.app == end.app else "across"))


def _upwards(start: Box, end: Box) -> str:
    """Beside the lines that lead down, and behind no box."""
    x1, y1 = start.x + WIDTH * 3 // 4, start.y
    x2, y2 = end.x + WIDTH * 3 // 4, end.y + HEIGHT
    bend = max(GAP_Y, abs(y2 - y1) // 3)
    return f"M{x1} {y1}C{x1} {y1 - bend} {x2} {y2 + bend} {x2} {y2 + 2}"


def _run_label(block: Block) -> str:
    first, last = (name.split("_")[0] for _, name in (block.members[0], block.members[-1]))
    return f"{first[:8]} … {last[:8]} ({len(block.members)})"
