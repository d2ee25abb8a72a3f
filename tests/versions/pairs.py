"""Which Djangos are tried on which Pythons, and where both are found on this machine.

Each pair has a virtual environment beside .venv, made once by tests.versions.prepare. The suite's own Python
is two of them, so that no machine has fewer: with its own Django, and with an older one from the registry.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent
ENVIRONMENTS = CHECKOUT / ".venvs"
OWN_VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
# It starts, is what its name says, and can make an environment.
ASKED = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2], sys.executable)"


@dataclass(frozen=True)
class Pair:
    """One Django on the first of these Pythons that the machine has; on none of them: on the suite's own.
    `django`: "" is the one that the suite itself is installed with."""

    django: str
    pythons: tuple[str, ...] = ()

    def __str__(self) -> str:
        django = f"Django {self.django or version_of('Django')}"
        if not self.pythons:
            return f"{django} on the suite's own Python {OWN_VERSION}"
        return f"{django} on Python {self.version or ' or '.join(self.pythons)}"

    @property
    def is_suite(self) -> bool:
        """Nothing has to be made for it."""
        return not self.django

    @property
    def pins(self) -> Path:
        return HERE / f"django-{self.django}.txt"

    @property
    def version(self) -> str:
        """Of its Python; "" where the machine has none."""
        if not self.pythons:
            return OWN_VERSION
        return next((version for version in self.pythons if found(version)), "")

    @property
    def interpreter(self) -> Path | None:
        """The machine's Python that its environment is made with."""
        return found(self.version) if self.pythons else Path(sys.executable)

    @property
    def folder(self) -> Path:
        own = "" if self.pythons else "-own"
        return ENVIRONMENTS / f"django-{self.django}-python-{self.version}{own}"

    @property
    def python(self) -> Path:
        """What a target is started with."""
        return Path(sys.executable) if self.is_suite else self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Written when all is installed."""
        return self.folder / ".ready"

    @property
    def fingerprint(self) -> str:
        """Of the pins and the Python they are installed for."""
        digest = hashlib.sha256(str(self.interpreter and self.interpreter.resolve()).encode())
        digest.update(self.pins.read_bytes())
        return digest.hexdigest()

    @property
    def is_ready(self) -> bool:
        return self.is_suite or (self.stamp.exists() and self.stamp.read_text() == self.fingerprint)

    @property
    def why_absent(self) -> str:
        """Why it is not tried here; "" where it is."""
        if self.is_ready:
            return ""
        if self.interpreter is None:
            names = " and ".join(f"python{version}" for version in self.pythons)
            return f"{names}: not on PATH, and not among those of pyenv and uv"
        return "its environment is not made: python -m tests.versions.prepare"


PAIRS = (
    Pair(""),
    Pair("4.2"),
    Pair("3.2", ("3.8", "3.9")),
    Pair("4.2", ("3.9", "3.10")),
    Pair("5.2", ("3.10", "3.11")),
    Pair("6.0", ("3.12",)),
    Pair("6.1", ("3.13", "3.14", "3.12")),
)
# The oldest, the newest, and the suite's own: for what depends on the interpreter and the driver alone.
EDGES = (PAIRS[0], PAIRS[2], PAIRS[-1])


@cache
def found(version: str) -> Path | None:
    """A Python of this version (`3.9`) that starts and can make an environment."""
    return next(filter(None, (started(path, version) for path in candidates(version))), None)


def candidates(version: str) -> Iterator[Path]:
    """On PATH, then where pyenv and uv keep theirs, the newest first."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if program := shutil.which(f"python{version}", path=folder):
            yield Path(program)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python")
    for root, pattern in ((pyenv, f"{version}.*"), (uv, f"cpython-{version}.*")):
        for installed in sorted(root.glob(pattern), key=number, reverse=True):
            yield installed / "bin" / f"python{version}"


def number(folder: Path) -> list[int]:
    """3.9.18 is newer than 3.9.2."""
    return [int(part) for part in folder.name.replace("-", ".").split(".") if part.isdigit()]


def started(path: Path, version: str) -> Path | None:
    """The Python behind this path; a shim of pyenv may lead to none."""
    try:
        asked = subprocess.run([path, "-c", ASKED], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return None
    told, _, executable = asked.stdout.strip().partition(" ")
    return Path(executable) if not asked.returncode and told == version else None
