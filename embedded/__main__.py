"""`python -m embedded run`, `clean-state` and `manage ...`; the Makefile calls these."""

import sys
from collections.abc import Callable

from embedded import clean, manage, run
from embedded.screen import complain

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": lambda _: run.main(),
    "clean-state": lambda _: clean.main(),
    "manage": manage.main,
}
INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    command, *rest = arguments or [""]
    if command not in COMMANDS or (rest and command != "manage"):
        complain(f"usage: python -m embedded {'|'.join(COMMANDS)} [ARGUMENT ... of manage]")
        return 2
    try:
        return COMMANDS[command](rest)
    except KeyboardInterrupt:  # before anything was started
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
