"""Agent's report -> typed status and plan, kept in the rows."""

from dbops.inspection.inspect import due, inspect_now, inspect_once
from dbops.inspection.judge import caution, judge, plan_of
from dbops.target.rights import Lack

__all__ = ["Lack", "caution", "due", "inspect_now", "inspect_once", "judge", "plan_of"]
