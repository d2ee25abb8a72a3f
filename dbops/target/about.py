"""What the agent tells of where it worked (dbops.agent.about), as a job keeps it. A target can make it tell
anything: what our rows could not take is taken for nothing."""

from collections.abc import Mapping
from typing import Any

from dbops import conf
from dbops.plain import plain

TOLD = ("python", "django", "vendor", "server_version")
LONGEST = 100


def about_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """`versions`: of opsdash and what is TOLD, None where it is not known; `size_before`: bytes or None."""
    told = {name: text_of(data.get(name)) for name in TOLD}
    return {"versions": {"opsdash": conf.VERSION, **told}, "size_before": size_of(data.get("size"))}


def text_of(value: Any) -> str | None:
    return storable(plain(value))[:LONGEST] if isinstance(value, str) and value else None


def storable(text: str) -> str:
    return text.encode(errors="replace").decode()


def size_of(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**63 else None
