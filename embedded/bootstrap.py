"""Make the virtual environment and install what is pinned: `python3 -m embedded.bootstrap run` or `... test`.

Runs on the machine's own Python, before anything is installed, and so needs nothing but the standard library.
"""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from embedded.screen import complain, say
from embedded.state import CHECKOUT

VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "pip.log"
FILES = {
    "run": ("requirements.txt", "requirements-embedded.txt"),
    "test": ("requirements.txt", "requirements-embedded.txt", "requirements-dev.txt"),
}
NO_WHEEL = re.compile(r"No matching distribution found for (\S+)")
FULL_DISK = "No space left on device"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in FILES:
        complain(f"usage: python3 -m embedded.bootstrap {'|'.join(FILES)}")
        return 2
    try:
        return _bring_up_to_date(arguments[0])
    except OSError as error:
        complain(f"opsdash: {error.filename} cannot be written: {error.strerror}. Nothing was installed.")
        return 1


def _bring_up_to_date(purpose: str) -> int:
    if not _usable() and not _make():
        return 1
    stamp = VENV / f".ready-for-{purpose}"
    if stamp.exists() and stamp.read_text() == _fingerprint(purpose):
        stamp.touch()  # make compares times
        return 0
    if not _install(purpose):
        return 1
    stamp.write_text(_fingerprint(purpose))
    return 0


def _usable() -> bool:
    """Whether its Python starts and has pip; an interrupted making leaves neither."""
    if not PYTHON.exists():
        return False
    asked = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([PYTHON, "-c", asked], capture_output=True, check=False).returncode == 0


def _make() -> bool:
    say("Python", f"making the virtual environment {VENV} with {sys.executable}")
    made = _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if made.returncode:
        complain(made.stdout)
        complain(f"opsdash: the virtual environment {VENV} could not be made{_disk(made.stdout)}; see above.")
    return made.returncode == 0


def _install(purpose: str) -> bool:
    names = FILES[purpose]
    count = sum(len(_pins(CHECKOUT / name)) for name in names)
    say("packages", f"installing {count} pinned ones into {VENV} (the first time they are downloaded)")
    wanted = [word for name in names for word in ("-r", str(CHECKOUT / name))]
    pip = [
        str(PYTHON),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--only-binary=:all:",
    ]
    done = _run([*pip, *wanted])
    LOG.write_text(done.stdout, errors="replace")
    if done.returncode:
        complain(done.stdout)
        complain(f"opsdash: {_why(done.stdout)} What pip said is above and in {LOG}.")
    return done.returncode == 0


def _pins(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]


def _why(output: str) -> str:
    if FULL_DISK in output:
        return f"the packages could not be installed{_disk(output)}."
    missing = NO_WHEEL.search(output)
    if missing:
        version = ".".join(map(str, sys.version_info[:2]))
        return (
            f"there is no wheel of {missing.group(1)} to be had for Python {version} on this machine: check "
            "the way to the package index, or remove .venv and name another Python, as in "
            "`make run PYTHON=python3.12`."
        )
    return "the packages could not be installed."


def _disk(output: str) -> str:
    return f": the disk that holds {VENV} is full" if FULL_DISK in output else ""


def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        cwd=CHECKOUT,
    )


def _fingerprint(purpose: str) -> str:
    """Of the pins and the Python they were installed for."""
    digest = hashlib.sha256(PYTHON.resolve().as_posix().encode())
    for name in FILES[purpose]:
        digest.update((CHECKOUT / name).read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
