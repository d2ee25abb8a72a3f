"""`python -m embedded run` and `python -m embedded clean-state`; the Makefile calls these."""

import sys

from embedded import clean, run
from embedded.screen import complain

COMMANDS = {"run": run.main, "clean-state": clean.main}
INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        complain(f"usage: python -m embedded {'|'.join(COMMANDS)}")
        return 2
    try:
        return COMMANDS[arguments[0]]()
    except KeyboardInterrupt:  # before anything was started
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
