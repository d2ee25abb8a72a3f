"""Agent's report -> typed status and plan, kept in the rows."""

from dbops.inspection.inspect import due, inspect_now, inspect_once
from dbops.inspection.judge import judge, plan_of

__all__ = ["due", "inspect_now", "inspect_once", "judge", "plan_of"]
