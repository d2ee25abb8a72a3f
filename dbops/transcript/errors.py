"""Which line of a transcript is the first that looks like an error."""

import re

from dbops.plain import without_escapes

# Without one of these, no line does. Looked for in the text in small letters, which costs next to nothing.
SIGNS = ("traceback", "error", "exception", "fatal", "critical", "panic", "failed", "lost")
ERROR = re.compile(
    r"""
    ^[ \t|+]* (?:Exception\ Group\ )? Traceback\ \(most\ recent\ call\ last\)
    # Django leaves "  Applying shop.0001_initial..." without an end when a migration fails.
    | Traceback\ \(most\ recent\ call\ last\):$
    | ^[\w.]*(?:Error|Exception):(?:\ |$)
    | ^(?i:error|fatal|failed):
    | \b(?:ERROR|FATAL|CRITICAL|PANIC)\b
    | ^opsdash:\ job\ \d+\ (?:failed|lost)\.
    """,
    re.MULTILINE | re.VERBOSE,
)


def first_error(lines: list[str]) -> int | None:
    """The index of the first of them that looks like one."""
    text = without_escapes("\n".join(lines))
    lowered = text.lower()
    if not any(sign in lowered for sign in SIGNS):
        return None
    found = ERROR.search(text)
    return text.count("\n", 0, found.start()) if found else None
