"""One migration's source then and now: a unified diff, and whether only its looks changed. Pure."""

import ast
import difflib
import warnings

# Files of this size are compared line by line within a second; a larger diff says nothing to a person.
MOST_LINES = 20_000
CONTEXT = 3


def unified(then: str, now: str, name: str) -> str:
    """ "" where the lines are the same."""
    before, after = then.splitlines(), now.splitlines()
    if len(before) + len(after) > MOST_LINES:
        return f"The file has more than {MOST_LINES} lines: its change is not shown."
    lines = difflib.unified_diff(before, after, f"{name} as applied", f"{name} now", n=CONTEXT, lineterm="")
    return "\n".join(lines)


def only_looks(then: str, now: str) -> bool:
    """Both are Python and mean the same. False where that cannot be told."""
    try:
        return then == now or _tree(then) == _tree(now)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # Not the Python of this process, or made to be hard to read.
        return False


def _tree(text: str) -> str:
    with warnings.catch_warnings():
        # What is odd about a target's file is no warning of ours.
        warnings.simplefilter("ignore")
        return ast.dump(ast.parse(text))
