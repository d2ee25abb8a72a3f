"""A plan -> the findings of each of its migrations."""

from collections.abc import Mapping
from typing import Any

from .finding import Finding


def findings(plan: Mapping[str, Any], vendor: str, server_version: int | None) -> dict[str, list[Finding]]:
    """{"app.name": findings, the worst first} of every migration of the plan, also of those without any.

    vendor: Django's word ("postgresql", "sqlite", "mysql" ...). server_version: Postgres' number (150004), or
    None where it is not known: then what holds for 12 and newer is said.
    """
    return {f"{one['app']}.{one['name']}": [] for one in plan.get("migrations") or []}
