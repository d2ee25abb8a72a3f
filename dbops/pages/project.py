"""What a target's project has of its own, for its page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbops.models import Inspection

USER_MODEL = "auth.User"


@dataclass(frozen=True)
class Project:
    """As the latest complete inspection found it; all empty where it told nothing of this."""

    # "" where it is Django's.
    user_model: str
    routers: list[str]
    # Of those that opsdash has to do with: (name, the app that it comes from).
    commands: list[tuple[str, str]]
    without_migrations: list[str]


def project_of(inspection: Inspection | None) -> Project:
    report: Mapping[str, Any] = (inspection.report if inspection else None) or {}
    own = report.get("project") or {}
    user_model = str(own.get("user_model") or "")
    return Project(
        user_model="" if user_model == USER_MODEL else user_model,
        routers=list(own.get("routers") or []),
        commands=sorted((own.get("commands") or {}).items()),
        without_migrations=sorted((report.get("apps") or {}).get("unmigrated") or []),
    )
