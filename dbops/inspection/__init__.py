"""Agent's report -> typed status and plan, kept in the rows."""

from dbops.inspection.inspect import due, inspect_now, inspect_once
from dbops.inspection.judge import caution, judge, plan_of
from dbops.inspection.plans import give_up_hanging, make_plan
from dbops.inspection.snapshots import take_snapshot
from dbops.target.rights import Lack

__all__ = [
    "Lack",
    "caution",
    "due",
    "give_up_hanging",
    "inspect_now",
    "inspect_once",
    "judge",
    "make_plan",
    "plan_of",
    "take_snapshot",
]
