"""Make the environments of tests.versions.pairs that are missing: `python -m tests.versions.prepare`.

Each pair is named with what became of it. A Python that the machine lacks leaves its pairs out; a download
that fails does so too, and with CI set it is an error.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from embedded.machine import is_ci
from embedded.screen import complain, say
from tests.versions.pairs import PAIRS, Pair


def main() -> int:
    failed = [pair for pair in PAIRS if not prepared(pair)]
    return 1 if failed and is_ci() else 0


def prepared(pair: Pair) -> bool:
    """False when it could not be made; one that the machine has no Python for is only named."""
    if not pair.is_ready and pair.interpreter is not None:
        problem = made(pair, pair.interpreter)
        if problem:
            complain(
                f"{problem}\nopsdash: {pair} is NOT tried: its environment could not be made, see above."
            )
            return False
    say("versions", f"{pair}: {f'NOT tried: {pair.why_absent}' if pair.why_absent else 'ready'}")
    return True


def made(pair: Pair, interpreter: Path) -> str:
    """What went wrong, as the program said it; "" when all is there."""
    say("versions", f"{pair}: installing into {pair.folder} (once)")
    shutil.rmtree(pair.folder, ignore_errors=True)
    pip = [pair.python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    for argv in (
        [interpreter, "-m", "venv", pair.folder],
        [*pip, "--only-binary=:all:", "--no-deps", "-r", pair.pins],
    ):
        done = subprocess.run(
            [str(word) for word in argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            return done.stdout
    pair.stamp.write_text(pair.fingerprint)
    return ""


if __name__ == "__main__":
    sys.exit(main())
