"""What is dangerous in a plan, as far as its operations, its fields and its SQL decide it.

Pure: a PLAN as the agent gives it in, findings out; nothing is asked of any database. What is said is true;
what cannot be told is said to be that ("cannot tell"), and what does no harm is not mentioned.
"""

from .finding import DANGER, NOTICE, SEVERITIES, WARNING, Finding, Recipe, counts, titles, worst
from .judge import findings

__all__ = [
    "DANGER",
    "NOTICE",
    "SEVERITIES",
    "WARNING",
    "Finding",
    "Recipe",
    "counts",
    "findings",
    "titles",
    "worst",
]
