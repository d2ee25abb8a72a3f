"""What the archive of sources says of one database, for whoever judges or shows it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

Key = tuple[str, str]


@dataclass(frozen=True)
class Edit:
    """An applied migration whose file is another now. `diff` "" where a text is lacking; then `problem` says
    why there is none."""

    app: str
    name: str
    applied_at: datetime | None
    diff: str = ""
    # Comments and formatting alone.
    only_looks: bool = False
    problem: str = ""
    # The very text was seen before it was applied.
    seen_before: bool = False


@dataclass(frozen=True)
class Archived:
    edits: list[Edit] = field(default_factory=list)
    # Sources of migrations that are recorded and have no file any more.
    gone: Mapping[Key, str] = field(default_factory=dict)
    # The report told hashes to compare with.
    judged: bool = False


NOTHING = Archived()
