"""What `make run` and the tests' services say on the terminal: a line for each thing they do."""

import sys

INDENT = "  "
SUBJECT_WIDTH = 10


def say(subject: str, what: str) -> None:
    """One line of progress."""
    show(f"{INDENT}{subject:<{SUBJECT_WIDTH}} {what}")


def show(text: str) -> None:
    try:
        print(text, flush=True)
    except OSError:  # the terminal is gone; what is being done goes on
        return


def complain(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        return
